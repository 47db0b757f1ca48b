// How far long work is, in one line on standard error: drawn over on a terminal, once in a while in a log. What is quick
// says nothing. Does not own the words about the work, nor loading a model (load-progress.ts).
import { columnsOf } from '@relufy/chat';
import { printable } from '@relufy/tensor';

/** A piece of work under way. Without a share nobody knows how far it is. */
export interface Work {
  readonly what: string;
  /** What is done of it, 0 to 1. */
  readonly share?: number;
  /** Default: by how long the share took since this work was first heard of. */
  readonly leftMs?: number;
}

export interface WorkLine {
  readonly hear: (work: Work) => void;
  /** Takes the line away, before something else is written; it may come back. */
  readonly clear: () => void;
}

type Output = Pick<NodeJS.WriteStream, 'write'> & Partial<Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>>;

const terminalMs = 200;
/** In a log: the first line of something, and any further one. */
const [patienceMs, logMs] = [3000, 30_000];
const usualColumns = 80;

export function workLine(output: Output, now: () => number = () => performance.now()): WorkLine {
  const isTerminal = output.isTTY === true;
  let last = now();
  /** Of what is under way: when it was first heard of, and how far it was, which a run that goes on is from its start. */
  let began = { at: last, share: 0 };
  let what: string | undefined;
  let said: string | undefined;
  let late: NodeJS.Timeout | undefined;
  let isShown = false;
  const say = (work: Work) => {
    last = now();
    said = work.what;
    const line = printable(describeWork(work, last - began.at, began.share)).replaceAll('\n', ' ');
    // beyond the last column the cursor would stand in the next row
    const room = (output.columns || usualColumns) - 1;
    output.write(isTerminal ? `\r\u{1b}[2K${within(line, room)}` : `${line}\n`);
    isShown = isTerminal;
  };
  return {
    hear: (work) => {
      clearTimeout(late);
      if (work.what !== what) [what, began] = [work.what, { at: now(), share: work.share ?? 0 }];
      const silence = now() - last;
      if (isTerminal) {
        // what has no share may hold the process up until it is done
        if (silence >= terminalMs || (work.share === undefined && said !== what)) say(work);
      } else if (silence >= (said === what ? logMs : patienceMs)) say(work);
      else if (said !== what) late = setTimeout(say, patienceMs - silence, work).unref();
    },
    clear: () => {
      clearTimeout(late);
      if (isShown) output.write('\r\u{1b}[2K');
      isShown = false;
      [last, said] = [now(), undefined];
    },
  };
}

/** The beginning of a text, as much as so many columns hold. */
function within(text: string, columns: number): string {
  let cut = text.slice(0, columns);
  while (columnsOf(cut) > columns) cut = cut.slice(0, -1);
  return cut;
}

function describeWork({ what, share, leftMs }: Work, elapsedMs: number, firstShare: number): string {
  const text = what.charAt(0).toUpperCase() + what.slice(1);
  if (share === undefined) return `${text} ...`;
  const left = leftMs ?? (elapsedMs / (share - firstShare)) * (1 - share);
  const known = Number.isFinite(left) && (leftMs !== undefined || elapsedMs > 1000);
  return `${text} ${Math.floor(100 * Math.min(1, share))} %${known ? `, ${duration(left)} left` : ''}`;
}

export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 90) return `${seconds.toFixed(0)} s`;
  return seconds < 5400 ? `${(seconds / 60).toFixed(0)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
