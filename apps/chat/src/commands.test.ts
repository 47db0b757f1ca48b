import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type CommandContext, commandOf, isCommand, runCommand } from './commands.js';
import { Conversation } from './conversation.js';
import { fakeModel } from './testing/fake-chat.js';

function setUp() {
  const model = fakeModel('hello');
  const defaults = { temperature: 0.7 };
  const conversation = new Conversation(model, { settings: defaults });
  const said: string[] = [];
  let exited = false;
  const context: CommandContext = {
    title: 'fake',
    conversation,
    defaults,
    say: (text) => said.push(text),
    exit: () => {
      exited = true;
    },
    retry: async () => {},
    file: undefined,
    savedMessages: 0,
  };
  const run = async (line: string): Promise<string> => {
    said.length = 0;
    await runCommand(line, context);
    return said.join('\n');
  };
  return { conversation, run, exited: () => exited };
}

describe('commands', () => {
  test('a line is a command when it begins with a slash', () => {
    expect(isCommand('/help')).toBe(true);
    expect(isCommand('and/or')).toBe(false);
    expect(isCommand(' /help ')).toBe(true);
  });

  test.each([
    ...['help', '?', '/?', 'HELP', ' help ', ':help'].map((text) => [text, '/help']),
    ...['exit', 'quit', 'Quit', '/quit', '/bye', ':q', 'exit()', 'quit()'].map((text) => [text, '/exit']),
    ['/nope', '/nope'],
    ['/system one\ntwo', '/system one\ntwo'],
  ])('%j means %j', (text, command) => expect(commandOf({ text, literal: false })).toBe(command));

  test.each(['help me', 'exit the house', 'what?', '/etc/passwd is what?', '/usr/bin', '/nope\nmore', 'help\nexit'])(
    '%j is a message',
    (text) => expect(commandOf({ text, literal: false })).toBeUndefined(),
  );

  test('what came in a block is a message', () => {
    for (const text of ['help', '/exit', '/system x']) expect(commandOf({ text, literal: true })).toBeUndefined();
  });

  test('/reset', async () => {
    const { conversation, run } = setUp();
    await conversation.answer('x');
    await run('/reset');
    expect(conversation.messages).toEqual([]);
  });

  test('/system sets, shows and removes', async () => {
    const { conversation, run } = setUp();
    expect(await run('/system')).toBe('No system message.');
    expect(await run('/system You are  a fox. ')).toBe('System message: You are  a fox.');
    expect(conversation.system).toBe('You are  a fox.');
    await run('/system -');
    expect(conversation.system).toBeUndefined();
  });

  test('/set changes, shows and goes back', async () => {
    const { conversation, run } = setUp();
    expect(await run('/set top_p 0.9')).toBe('topP 0.9');
    await run('/set temperature 0');
    expect(conversation.settings).toEqual({ topP: 0.9, temperature: 0 });
    expect(await run('/set')).toContain('topP              0.9');
    await run('/set topP');
    await run('/set temperature');
    expect(conversation.settings).toEqual({ temperature: 0.7 });
  });

  test.each([
    ['/set temperature hot', '/set temperature: expected a number >= 0, got "hot".'],
    ['/set temprature 1', '/set temprature: no such setting. Did you mean temperature?'],
    ['/set xyzzy 1', '/set xyzzy: no such setting. There are maxNewTokens, '],
    ['/sets', '/sets: no such command. Did you mean /set? /help lists them.'],
    ['/res', '/res: no such command. Did you mean /reset?'],
    ['/xyzzy', '/xyzzy: no such command. /help lists them.'],
    ['/', '/: no such command. /help lists them.'],
  ])('%s is refused with a hint', async (line, message) => {
    const { conversation, run } = setUp();
    await expect(run(line)).rejects.toThrow(message);
    expect(conversation.settings).toEqual({ temperature: 0.7 });
  });

  test('/undo says what it took back', async () => {
    const { conversation, run } = setUp();
    expect(await run('/undo')).toBe('There is no message to take back.');
    await conversation.answer(`a ${'long '.repeat(30)}story`);
    expect(await run('/undo')).toMatch(/^Taken back: a (long ){11}lo?…$|^Taken back: a long .*…$/);
    expect(conversation.messages).toEqual([]);
  });

  test('/model says which, and refuses another where there is one', async () => {
    const { run } = setUp();
    expect(await run('/model')).toBe('fake · by hand · context 1000');
    await expect(run('/model other')).rejects.toThrow('/model other: this chat has one model.');
  });

  describe('/save and /load', () => {
    let folder = '';
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'relufy-chat-'));
    });
    afterAll(() => rm(folder, { recursive: true }));

    test.each(['chat.json', 'chat.md', 'without-ending'])('%s comes back as it went', async (name) => {
      const { conversation, run } = setUp();
      const file = join(folder, name);
      expect(await run(`/save ${file}`)).toBe('There is nothing to save yet.');
      await run('/system You are\n## user\nbrief.');
      await conversation.answer('## user\n\n  indented\n');
      const { messages } = conversation;
      expect(await run(`/save ${file}`)).toContain('Saved to ');
      const other = setUp();
      const saved = name === 'without-ending' ? `${file}.json` : file;
      expect(await other.run(`/load ${saved}`)).toBe(`3 messages from ${saved}.`);
      expect(other.conversation.messages).toEqual(messages);
      // goes on in the same file
      await other.conversation.answer('more');
      expect(await other.run('/save')).toContain(saved);
      expect((await setUp().run(`/load ${saved}`)).startsWith('5 messages')).toBe(true);
    });

    test('a file that is no chat is neither written over nor loaded', async () => {
      const { conversation, run } = setUp();
      await conversation.answer('hello');
      const file = join(folder, 'notes.json');
      await writeFile(file, '{"important": true}');
      await expect(run(`/save ${file}`)).rejects.toThrow('expected a new name or a saved chat');
      await expect(run(`/load ${file}`)).rejects.toThrow('got no "messages".');
      expect(await readFile(file, 'utf8')).toBe('{"important": true}');
      await expect(run(`/load ${folder}`)).rejects.toThrow('expected a saved chat, got a folder.');
      await expect(run(`/load ${join(folder, 'none.json')}`)).rejects.toThrow('no such file.');
      await expect(run('/load')).rejects.toThrow('/load: expected a file, got none.');
      await expect(run(`/save ${join(folder, 'no', 'such', 'x.json')}`)).rejects.toThrow('cannot be written: ENOENT');
      expect(conversation.messages).toHaveLength(2);
    });
  });

  test('/stats, /help and /exit', async () => {
    const { run, exited } = setUp();
    expect(await run('/stats')).toContain('10.2 of 17.8 MB read per token');
    expect(await run('/help')).toMatch(/^\/retry .*\n\/undo [\s\S]*\/exit/);
    for (const line of (await run('/help')).split('\n').slice(0, -1)) expect(line.length).toBeLessThan(80);
    await run('/exit');
    expect(exited()).toBe(true);
  });
});
