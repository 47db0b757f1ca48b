// From whatever was thrown to an exit code and what a person reads: one line for their error or their machine's, a
// stack only for a bug of ours or when RELUFY_DEBUG=1 asks for it.
import { RelufyError } from '@relufy/tensor';
import { CommanderError } from 'commander';

export interface Failure {
  readonly exitCode: number;
  /** undefined: nothing is left to say. */
  readonly message?: string;
}

/** Thrown, or the reason of an abort, when a signal ends the command. */
export class Interruption extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('interrupted');
    this.exitCode = exitCode;
  }
}

/** A command line that does not parse. */
export function usageError(message: string): CommanderError {
  return new CommanderError(2, 'relufy.usage', message);
}

/** Help and version, which commander has printed; it calls the help after a command line without a command an error. */
const printed: ReadonlySet<string> = new Set(['commander.helpDisplayed', 'commander.help', 'commander.version']);

export function failureOf(error: unknown, debug = process.env.RELUFY_DEBUG === '1'): Failure {
  if (error instanceof Interruption) return { exitCode: error.exitCode };
  if (error instanceof CommanderError) {
    if (printed.has(error.code)) return { exitCode: error.exitCode === 0 ? 0 : 2 };
    return { exitCode: 2, message: debug ? stackOf(error) : oneLine(error.message) };
  }
  if (RelufyError.is(error)) return { exitCode: 1, message: debug ? stackOf(error) : oneLine(error.message) };
  // the disk is full, a file may not be read: the machine's error, already worded by Node
  if (error instanceof Error && 'syscall' in error)
    return { exitCode: 1, message: debug ? stackOf(error) : oneLine(error.message) };
  return { exitCode: 1, message: `${stackOf(error)}\nThis is an internal error, please report it.` };
}

/** Also takes commander's "error: " off: that it is one is clear. */
function oneLine(message: string): string {
  return message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\ncaused by ${stackOf(error.cause)}`;
  return `${error.stack ?? error.message}${cause}`;
}
