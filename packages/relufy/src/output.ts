// The one way in which commands write: whatever a file, a model or a server said goes through here, so that a terminal
// never obeys it. Does not own the words, nor the chat's screen (@relufy/chat, by the same function).
import { pipeable, printable, printableJson } from '@relufy/tensor';

/** A result, on standard output. */
export function print(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

/** A result for programs: JSON says the same with whatever is escaped. */
export function printJson(value: unknown, indent = 2): void {
  process.stdout.write(`${printableJson(value, indent)}\n`);
}

/** A part of an answer, as the model wrote it: into a pipe it keeps all that is text. */
export function printAnswer(text: string): void {
  process.stdout.write(process.stdout.isTTY ? printable(text) : pipeable(text));
}

/** What is no result: notes and errors, on standard error. */
export function tell(text: string): void {
  process.stderr.write(`${printable(text)}\n`);
}
