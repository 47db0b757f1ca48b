import { RelufyError } from '@relufy/tensor';
import { CommanderError } from 'commander';
import { describe, expect, test } from 'vitest';
import { failureOf, Interruption, usageError } from './failure.js';

describe('failureOf', () => {
  test("a user's error is its message, in one line", () =>
    expect(failureOf(new RelufyError('io', 'x: expected y,\n  got z.'), false)).toEqual({
      exitCode: 1,
      message: 'x: expected y, got z.',
    }));

  test('a command line that does not parse is exit code 2', () => {
    expect(failureOf(usageError('--x: expected y.'), false)).toEqual({ exitCode: 2, message: '--x: expected y.' });
    const unknown = new CommanderError(1, 'commander.unknownOption', "error: unknown option '-x'\n(Did you mean -y?)");
    expect(failureOf(unknown, false)).toEqual({ exitCode: 2, message: "unknown option '-x' (Did you mean -y?)" });
  });

  test('printed help is no failure, unless a command was missing', () => {
    expect(failureOf(new CommanderError(0, 'commander.helpDisplayed', ''))).toEqual({ exitCode: 0 });
    expect(failureOf(new CommanderError(1, 'commander.help', ''))).toEqual({ exitCode: 2 });
  });

  test('a signal says nothing', () => expect(failureOf(new Interruption(130))).toEqual({ exitCode: 130 }));

  test("the machine's error is one line too", () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { syscall: 'write' });
    expect(failureOf(full, false)).toEqual({ exitCode: 1, message: 'ENOSPC: no space left on device, write' });
  });

  test('a bug shows its stack and asks for a report', () => {
    const { exitCode, message } = failureOf(new TypeError('oops', { cause: new Error('deeper') }), false);
    expect(exitCode).toBe(1);
    expect(message).toMatch(
      /^TypeError: oops\n {4}at [\s\S]*caused by Error: deeper[\s\S]*internal error, please report it\.$/,
    );
    expect(failureOf('text').message).toMatch(/^text\n/);
  });

  test('debugging shows every stack', () =>
    expect(failureOf(new RelufyError('io', 'x'), true).message).toMatch(/^RelufyError: x\n {4}at /));
});
