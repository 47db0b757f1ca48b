// What lines of a pipe and keys of a terminal become, through a whole chat.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelufyError } from '@relufy/models';
import { describe, expect, test } from 'vitest';
import { readChat } from './saved-chat.js';
import { type FakeModel, fakeModel, startChat } from './testing/fake-chat.js';

const lastOf = (model: FakeModel) => model.calls.map(({ messages }) => messages.at(-1)?.content);

describe('lines of a pipe', () => {
  test('only line feeds end a line, and a byte order mark is no part of it', async () => {
    const model = fakeModel('x');
    const chat = startChat(model, { terminal: false });
    chat.type('\ufeff/set temperature 0\none\u2028still one\u2029and one\r\n\ufeffnext\n');
    chat.endInput();
    expect(await chat.ended).toBe('ended');
    expect(chat.error()).toBe('temperature 0\n');
    expect(lastOf(model)).toEqual(['one\u2028still one\u2029and one', 'next']);
  });

  test('blocks and backslashes make messages of several lines; words are commands, in a block they are not', async () => {
    const model = fakeModel('x');
    const chat = startChat(model, { terminal: false });
    chat.type('"""\none\ntwo\n"""\nthree \\\nfour\n"""help"""\n?\nquit\nnever read\n');
    expect(await chat.ended).toBe('ended');
    expect(lastOf(model)).toEqual(['one\ntwo', 'three \nfour', 'help']);
    expect(chat.error()).toContain('/retry');
  });

  test('bytes that are cut within a character are one character', async () => {
    const model = fakeModel('x');
    const chat = startChat(model, { terminal: false });
    for (const byte of Buffer.from('über 🦊\n')) chat.type(Buffer.from([byte]));
    chat.endInput();
    await chat.ended;
    expect(lastOf(model)).toEqual(['über 🦊']);
  });

  test('a message that does not fit is refused by its size', async () => {
    const model = fakeModel('x');
    model.contextLength = 3;
    const chat = startChat(model, { terminal: false });
    chat.type('1 2 3 4\n');
    await expect(chat.ended).rejects.toThrow('Your message is too long: 4 tokens, this model holds 3.');
  });

  test('thousands of waiting lines hold the pipe up, and all are answered', async () => {
    const model = fakeModel('x');
    const chat = startChat(model, { terminal: false });
    for (let i = 0; i < 30; i++) chat.type('/set\n'.repeat(100));
    chat.type('end\n');
    chat.endInput();
    expect(await chat.ended).toBe('ended');
    expect(lastOf(model)).toEqual(['end']);
    expect(chat.error().match(/topP/g)).toHaveLength(3000);
  });
});

describe('keys of a terminal', () => {
  const [pasteOn, pasteOff] = ['\u{1b}[200~', '\u{1b}[201~'];

  test('a pasted text is one message, sent by Enter, and a note in brackets when it is long', async () => {
    const model = fakeModel('ok');
    const chat = startChat(model, { terminal: true });
    await chat.sees('\u{1b}[?2004h');
    chat.type(`Explain: ${pasteOn}one\r\ttwo\r\n/exit\u2028four\r${pasteOff}`);
    await chat.sees('Explain: one⏎');
    expect(model.calls).toEqual([]);
    chat.type(' please\r');
    await chat.sees('1 token');
    const long = Array.from({ length: 40 }, (_, i) => `row ${i} $&`).join('\r');
    // in pieces, as a terminal sends a long one
    for (const part of `${pasteOn}${long}${pasteOff}`.match(/[\s\S]{1,7}/g) ?? []) chat.type(part);
    await chat.sees('[pasted text 1: 40 lines]');
    chat.type('\r/exit\r');
    await chat.ended;
    expect(lastOf(model)).toEqual(['Explain: one\n\ttwo\n/exit\nfour please', long.replaceAll('\r', '\n')]);
    expect(chat.output()).toContain('\u{1b}[?2004l');
  });

  test('what is pasted cannot act on the terminal', async () => {
    const model = fakeModel('ok');
    const chat = startChat(model, { terminal: true });
    chat.type(`${pasteOn}a\u{1b}]0;title\u{7}b\u{3}\u{4}c${pasteOff}\r/exit\r`);
    expect(await chat.ended).toBe('ended');
    expect(lastOf(model)).toEqual(['a]0;titlebc']);
  });

  test('a pasted text that begins with a slash is a message, unless it begins with a command', async () => {
    const model = fakeModel('ok');
    const chat = startChat(model, { terminal: true });
    chat.type(`${pasteOn}/usr/bin/env\rmore${pasteOff}\r${pasteOn}/system one\rtwo${pasteOff}\r/exit\r`);
    await chat.sees('System message: one\ntwo');
    await chat.ended;
    expect(lastOf(model)).toEqual(['/usr/bin/env\nmore']);
  });

  test.each([
    ['Alt+Enter', '\u{1b}\r'],
    ['Shift+Enter', '\u{1b}[13;2u'],
    ['Ctrl+Enter', '\u{1b}[13;5u'],
    ["Shift+Enter as xterm's", '\u{1b}[27;2;13~'],
    ['U+2028 (typed, or pasted at a terminal that does not say so)', '\u2028'],
  ])('%s begins a new line', async (_, keys) => {
    const model = fakeModel('ok');
    const chat = startChat(model, { terminal: true });
    chat.type(`one${keys}two\r/exit\r`);
    await chat.ended;
    expect(lastOf(model)).toEqual(['one\ntwo']);
  });

  test('a backslash and a block ask for the next line', async () => {
    const model = fakeModel('ok');
    const chat = startChat(model, { terminal: true });
    chat.type('one \\\r');
    await chat.sees('. ');
    chat.type('two\r"""\r/exit\r"""\r/exit\r');
    expect(await chat.ended).toBe('ended');
    expect(lastOf(model)).toEqual(['one \ntwo', '/exit']);
  });

  test('Ctrl-C clears what is half typed, one line or several, then asks once, and another message unasks', async () => {
    const model = fakeModel('fine');
    const chat = startChat(model, { terminal: true });
    chat.type('half');
    await chat.sees('half');
    chat.type('\u0003');
    chat.type('whole\r');
    await chat.sees('1 token');
    chat.type('begun \\\r');
    await chat.sees('. ');
    chat.type('\u0003');
    chat.type('single\r');
    await expect.poll(() => lastOf(model)).toEqual(['whole', 'single']);
    await chat.asks();
    chat.type('\u0003');
    await chat.sees('Ctrl-C again leaves');
    chat.type('still here\r');
    await expect.poll(() => model.calls).toHaveLength(3);
    await chat.asks();
    chat.type('\u0003');
    await expect.poll(() => chat.output().match(/Ctrl-C again leaves/g)).toHaveLength(2);
    chat.type('\u0003');
    expect(await chat.ended).toBe('interrupted');
  });

  test('a conversation that Ctrl-C ends is kept, unless it was saved', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'relufy-rescue-'));
    const file = join(folder, 'last-chat.json');
    const leave = async (...lines: string[]) => {
      const chat = startChat(fakeModel('fine'), { terminal: true, rescueFile: file });
      for (const line of lines) {
        chat.type(`${line}\r`);
        await chat.sees(line.startsWith('/save') ? 'Saved to' : '1 token');
        await chat.asks();
      }
      chat.type('\u0003');
      await chat.sees('Ctrl-C again leaves');
      chat.type('\u0003');
      expect(await chat.ended).toBe('interrupted');
      return chat.output();
    };
    expect(await leave()).not.toContain('is kept');
    expect(await leave('hello', `/save ${join(folder, 'own.md')}`)).not.toContain('is kept');
    expect(await leave('hello')).toContain('The conversation is kept: /load');
    expect((await readChat(file)).messages).toHaveLength(2);
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await leave('another')).toContain('is kept');
    expect((await readChat(file)).messages[0]?.content).toBe('another');
    await rm(folder, { recursive: true });
  });

  test('help and exit are understood', async () => {
    const model = fakeModel('fine');
    const chat = startChat(model, { terminal: true });
    chat.type('help\r');
    await chat.sees('/retry');
    chat.type('?\rexit\r');
    expect(await chat.ended).toBe('ended');
    expect(model.calls).toEqual([]);
  });

  test('/retry, /undo and Tab', async () => {
    const model = fakeModel('one', 'two', 'three');
    const chat = startChat(model, { terminal: true });
    chat.type('hello\r');
    await chat.sees('one\n');
    chat.type('/retry\r');
    await chat.sees('two\n');
    chat.type('/un\t\r');
    await chat.sees('Taken back: hello');
    chat.type('/retry\r');
    await chat.sees('retry: expected a message that can be answered again, got none.');
    chat.type('/exit\r');
    await chat.ended;
    expect(model.calls[1]?.messages).toEqual([{ role: 'user', content: 'hello' }]);
  });

  test('/model goes on with another one; one that cannot be loaded changes nothing', async () => {
    const [first, second] = [fakeModel('one'), fakeModel('two')];
    const chat = startChat(first, {
      terminal: true,
      openModel: async (name) => {
        if (name === 'second') return second;
        throw new RelufyError('option', `no ${name}`);
      },
    });
    chat.type('hello\r');
    await chat.sees('one\n');
    chat.type('/model other\r');
    await chat.sees('no other');
    chat.type('/model second\r');
    await chat.sees('second · by hand');
    chat.type('again\r');
    await chat.sees('two\n');
    chat.type('/exit\r');
    await chat.ended;
    expect(second.calls[0]?.messages).toHaveLength(3);
  });

  test('a history brings earlier lines back, in several lines too', async () => {
    const added: string[] = [];
    const model = fakeModel('ok');
    const chat = startChat(model, {
      terminal: true,
      history: { entries: ['old', 'two\nlines'], add: (text) => added.push(text) },
    });
    await chat.sees('> ');
    chat.type('\u{1b}[A');
    await chat.sees('two⏎lines');
    chat.type('\r');
    await chat.sees('1 token');
    chat.type('\u{1b}[A\u{1b}[A\r/exit\r');
    await chat.ended;
    expect(lastOf(model)).toEqual(['two\nlines', 'old']);
    expect(added).toEqual(['two\nlines', 'old', '/exit']);
  });

  test('Markdown is drawn where there is colour, and nowhere else', async () => {
    const answer = '# Title\n\n- **bold** point\n';
    const seen = async (options: Parameters<typeof startChat>[1]) => {
      const chat = startChat(fakeModel(answer), options);
      chat.type('hello\n/exit\n');
      await chat.ended;
      return chat.output();
    };
    expect(await seen({ terminal: true, color: true })).toContain('• \u{1b}[1mbold\u{1b}[22m point\n');
    expect(await seen({ terminal: true, color: false })).toContain('# Title\n\n- **bold** point\n');
    const dumb = await seen({ terminal: true, color: true, dumb: true });
    expect(dumb).toContain('# Title\n\n- **bold** point\n');
    expect(dumb).not.toContain('\u{1b}[?2004h');
    expect(await seen({ terminal: false, color: true })).toBe(answer);
  });

  test('says what the model is for, below the greeting', async () => {
    const chat = startChat(fakeModel('x'), { terminal: true, about: 'It tells stories.' });
    await chat.sees('/help lists commands\nIt tells stories.\n\n');
    chat.type('/exit\r');
    await chat.ended;
  });

  test('names and errors of others do not act on the terminal either', async () => {
    const model = fakeModel('x');
    const chat = startChat(model, { terminal: true, title: 'a\u{1b}]0;evil\u{7}' });
    await chat.sees('a\\x1b]0;evil\\x07');
    model.failure = new RelufyError('input', 'tensor "\u{9b}2J"');
    chat.type('hello\r');
    await chat.sees('tensor "\\x9b2J"');
    chat.type('/exit\r');
    await chat.ended;
  });

  test('an answer that goes on after its context was full says so', async () => {
    const model = fakeModel(Array.from({ length: 20 }, (_, i) => `w${i}`).join(' '));
    model.contextLength = 16;
    const chat = startChat(model, { terminal: true, settings: { maxNewTokens: 30 } });
    chat.type('go\r');
    await chat.sees('w19\n');
    await chat.sees('The answer went on.');
    chat.type('/exit\r');
    await chat.ended;
  });
});
