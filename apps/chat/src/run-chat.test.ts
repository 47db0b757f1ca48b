import { RelufyError } from '@relufy/models';
import { describe, expect, test } from 'vitest';
import { defaultSettings } from './run-chat.js';
import { fakeModel, startChat } from './testing/fake-chat.js';

describe('runChat in a pipe', () => {
  test('answers each line that is not empty, and writes nothing else', async () => {
    const model = fakeModel('one two', 'three\n');
    const chat = startChat(model, { terminal: false });
    chat.type('first\n\n  \nsecond');
    chat.endInput();
    expect(await chat.ended).toBe('ended');
    expect(chat.output()).toBe('one two\nthree\n');
    expect(chat.error()).toBe('');
    expect(model.calls.map(({ messages }) => messages.at(-1)?.content)).toEqual(['first', 'second']);
  });

  test('commands work, what they say goes to the error stream', async () => {
    const model = fakeModel('answer');
    const chat = startChat(model, { terminal: false, settings: { seed: 1 } });
    chat.type('/set temperature 0\nhello\n/exit\nnever read\n');
    expect(await chat.ended).toBe('ended');
    expect(chat.output()).toBe('answer\n');
    expect(chat.error()).toBe('temperature 0\n');
    expect(model.calls).toHaveLength(1);
    expect(model.calls[0]?.options).toMatchObject({ temperature: 0, seed: 1 });
  });

  test('samples as the model recommends, with what was asked for in its place', async () => {
    const first = { ...fakeModel('one'), recommendedSampling: { temperature: 0.2, topP: 0.9 } };
    const next = { ...fakeModel('two'), recommendedSampling: { temperature: 0.6, noRepeatNgramSize: 6 } };
    const openModel = async () => next;
    const chat = startChat(first, { terminal: false, settings: { seed: 1 }, openModel });
    chat.type('/set topP 0.5\nhello\n/model next\nhello\n/set temperature\n/exit\n');
    await chat.ended;
    const settings = ({ calls }: typeof first | typeof next) => {
      const { signal: _, onAbort: __, ...others } = calls[0]?.options ?? {};
      return others;
    };
    expect(settings(first)).toEqual({ temperature: 0.2, topP: 0.5, seed: 1 });
    expect(settings(next)).toEqual({ temperature: 0.6, noRepeatNgramSize: 6, topP: 0.5, seed: 1 });
    expect(chat.error()).toMatch(/temperature 0\.6\n$/);
  });

  test('a model that recommends nothing is sampled as chats are', async () => {
    const model = fakeModel('one');
    const chat = startChat(model, { terminal: false });
    chat.type('hello\n/exit\n');
    await chat.ended;
    expect(model.calls[0]?.options).toMatchObject(defaultSettings);
  });

  test('what cannot be done ends the chat', async () => {
    const chat = startChat(fakeModel('x'), { terminal: false });
    chat.type('/nope\n');
    await expect(chat.ended).rejects.toThrow('/nope: no such command.');
  });

  test('an input that fails is an error', async () => {
    const chat = startChat(fakeModel('x'), { terminal: false });
    chat.breakInput(new Error('EIO'));
    await expect(chat.ended).rejects.toThrow('input: expected lines of text, got an error: EIO.');
  });

  test('a model without a chat template is refused, with the way out', async () => {
    const model = fakeModel('x');
    model.hasChatTemplate = false;
    const chat = startChat(model, { terminal: false, title: './opt' });
    await expect(chat.ended).rejects.toThrow('Use: relufy generate --model ./opt --prompt TEXT');
  });

  test('the signal ends the answer and the chat', async () => {
    const model = fakeModel('one two three four');
    const stop = new AbortController();
    model.afterPiece = () => stop.abort();
    const chat = startChat(model, { terminal: false, signal: stop.signal });
    chat.type('hello\nmore\n');
    expect(await chat.ended).toBe('interrupted');
    expect(model.calls).toHaveLength(1);
  });

  test('a signal that came before ends it at once', async () => {
    const chat = startChat(fakeModel('x'), { terminal: false, signal: AbortSignal.abort() });
    expect(await chat.ended).toBe('interrupted');
  });
});

describe('runChat at a terminal', () => {
  test('greets, answers with a status line, and leaves at the end of the input', async () => {
    const chat = startChat(fakeModel('one two'), { terminal: true, title: 'fake-1' });
    await chat.sees('fake-1 · by hand · context 1000 · /help lists commands\n\n');
    await chat.sees('> ');
    chat.type('hello\r');
    await chat.sees('\none two\n2 tokens, 200 tokens/s, 6 % of neurons used\n\n');
    chat.type('\u0004');
    expect(await chat.ended).toBe('ended');
    expect(chat.output()).not.toContain('\u{1b}[2m');
  });

  test('has colours when told so', async () => {
    const chat = startChat(fakeModel('one'), { terminal: true, color: true });
    chat.type('hello\r');
    await chat.sees('\u{1b}[2m1 token');
    chat.type('/exit\r');
    expect(await chat.ended).toBe('ended');
  });

  test('Ctrl-C stops the answer, and at the prompt asks once before it leaves', async () => {
    const model = fakeModel('one two three four five six');
    const chat = startChat(model, { terminal: true });
    model.afterPiece = () => {
      chat.type('\u0003');
      model.afterPiece = () => {};
    };
    chat.type('hello\r');
    await chat.sees('stopped');
    expect(chat.output()).not.toContain('six');
    chat.type('\u0003');
    await chat.sees('Ctrl-C again leaves; /save keeps the conversation.\n\n');
    chat.type('\u0003');
    expect(await chat.ended).toBe('interrupted');
  });

  test('a second Ctrl-C leaves while the answer is still being stopped', async () => {
    const model = fakeModel('one two three');
    const chat = startChat(model, { terminal: true });
    model.afterPiece = () => chat.type('\u0003\u0003');
    chat.type('hello\r');
    expect(await chat.ended).toBe('interrupted');
  });

  test('lines typed during an answer are the next turns', async () => {
    const model = fakeModel('one two', 'three');
    const chat = startChat(model, { terminal: true });
    chat.type('first\rsecond\r');
    await chat.sees('> second\nthree');
    chat.type('/exit\r');
    expect(await chat.ended).toBe('ended');
    expect(model.calls).toHaveLength(2);
  });

  test('an error is told and the chat goes on; one that no answer survives ends it', async () => {
    const model = fakeModel('fine', 'fine');
    const chat = startChat(model, { terminal: true });
    model.failure = new RelufyError('input', 'too long');
    chat.type('hello\r');
    await chat.sees('too long\n\n');
    chat.type('/nope\r');
    await chat.sees('/nope: no such command.');
    chat.type('again\r');
    await chat.sees('fine');
    model.failure = new RelufyError('backend', 'a worker died');
    chat.type('again\r');
    await expect(chat.ended).rejects.toThrow('a worker died');
  });

  test('says once that the context is full', async () => {
    const model = fakeModel('a b c d e');
    model.contextLength = 12;
    const chat = startChat(model, { terminal: true });
    chat.type('1 2 3\r4 5 6\r7 8 9\r/exit\r');
    expect(await chat.ended).toBe('ended');
    expect(chat.output().match(/The context is full/g)).toHaveLength(1);
  });

  test('escape sequences of a model do not reach the terminal', async () => {
    const chat = startChat(fakeModel('a\u{1b}[2Jb'), { terminal: true });
    chat.type('hello\r');
    await chat.sees('a\\x1b[2Jb');
    chat.type('/exit\r');
    await chat.ended;
  });
});
