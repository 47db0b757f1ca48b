import { describe, expect, test } from 'vitest';
import { isCommand, runCommand } from './commands.js';
import { Conversation } from './conversation.js';
import { fakeModel } from './testing/fake-chat.js';

function setUp() {
  const model = fakeModel('hello');
  const defaults = { temperature: 0.7 };
  const conversation = new Conversation(model, { settings: defaults });
  const said: string[] = [];
  let exited = false;
  const run = (line: string): string => {
    said.length = 0;
    runCommand(line, {
      model,
      title: 'fake',
      conversation,
      defaults,
      say: (text) => said.push(text),
      exit: () => {
        exited = true;
      },
    });
    return said.join('\n');
  };
  return { conversation, run, exited: () => exited };
}

describe('commands', () => {
  test('a line is a command when it begins with a slash', () => {
    expect(isCommand('/help')).toBe(true);
    expect(isCommand('and/or')).toBe(false);
  });

  test('/reset', async () => {
    const { conversation, run } = setUp();
    await conversation.answer('x');
    run('/reset');
    expect(conversation.messages).toEqual([]);
  });

  test('/system sets, shows and removes', () => {
    const { conversation, run } = setUp();
    expect(run('/system')).toBe('No system message.');
    expect(run('/system You are  a fox. ')).toBe('System message: You are  a fox.');
    expect(conversation.system).toBe('You are  a fox.');
    run('/system -');
    expect(conversation.system).toBeUndefined();
  });

  test('/set changes, shows and goes back', () => {
    const { conversation, run } = setUp();
    expect(run('/set top_p 0.9')).toBe('topP 0.9');
    run('/set temperature 0');
    expect(conversation.settings).toEqual({ topP: 0.9, temperature: 0 });
    expect(run('/set')).toContain('topP              0.9');
    run('/set topP');
    run('/set temperature');
    expect(conversation.settings).toEqual({ temperature: 0.7 });
  });

  test.each([
    ['/set temperature hot', '/set temperature: expected a number >= 0, got "hot".'],
    ['/set temprature 1', '/set temprature: no such setting. Did you mean temperature?'],
    ['/set xyzzy 1', '/set xyzzy: no such setting. There are maxNewTokens, '],
    ['/sets', '/sets: no such command. Did you mean /set? /help lists them.'],
    ['/re', '/re: no such command. Did you mean /reset?'],
    ['/xyzzy', '/xyzzy: no such command. /help lists them.'],
    ['/', '/: no such command. /help lists them.'],
  ])('%s is refused with a hint', (line, message) => {
    const { conversation, run } = setUp();
    expect(() => run(line)).toThrow(message);
    expect(conversation.settings).toEqual({ temperature: 0.7 });
  });

  test('/stats, /help and /exit', () => {
    const { run, exited } = setUp();
    expect(run('/stats')).toContain('10.2 of 17.8 MB read per token');
    expect(run('/help')).toMatch(/^\/reset .*\n\/system [\s\S]*\/exit/);
    for (const line of run('/help').split('\n').slice(0, -1)) expect(line.length).toBeLessThan(80);
    run('/exit');
    expect(exited()).toBe(true);
  });
});
