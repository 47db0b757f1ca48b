// One line on a terminal while a model loads: only when that takes long enough to wonder, and gone afterwards. The line
// is never wider than the terminal, which would break it in two, and then only half of it could be drawn over.
import { columnsOf, cutTo } from '@relufy/chat';
import type { ProgressEvent } from '@relufy/models';
import { printable } from '@relufy/tensor';

export interface Progress {
  readonly hear: (event: ProgressEvent) => void;
  /** Takes the line away; nothing is written after it. */
  readonly clear: () => void;
}

type Terminal = Pick<NodeJS.WriteStream, 'isTTY' | 'write'> &
  Partial<Pick<NodeJS.WriteStream, 'columns' | 'on' | 'off'>>;

/** Before that nobody needs a line. */
const patienceMs = 500;
/** A terminal that does not know its width says 0 or nothing. */
const usualColumns = 80;

export function showProgress(model: string, stream: Terminal): Progress {
  if (!stream.isTTY) return logProgress(model, stream);
  const start = performance.now();
  let drawn = '';
  let cleared = false;
  const width = () => stream.columns || usualColumns;
  /** Takes the line away, all rows of it: a terminal that became narrower has broken it. */
  const erase = () => {
    const rows = Math.ceil(columnsOf(drawn) / width());
    const up = rows > 1 ? `\u{1b}[${rows - 1}A` : '';
    return `\r${up}\u{1b}[${rows > 1 ? 'J' : '2K'}`;
  };
  const draw = (line: (room: number) => string) => {
    // after the last column the cursor would stand in the next row
    const next = line(width() - 1);
    if (next === drawn) return;
    stream.write(erase() + next);
    drawn = next;
  };
  let line: ((room: number) => string) | undefined;
  const resized = () => {
    if (!cleared && line !== undefined) draw(line);
  };
  stream.on?.('resize', resized);
  // a source that is slow to answer says nothing at all
  const waiting = setTimeout(() => {
    if (cleared || line !== undefined) return;
    line = (room) => fit({ name: onOneLine(model), file: '', percent: '...' }, room);
    draw(line);
  }, patienceMs);
  waiting.unref();
  return {
    hear: (event) => {
      if (cleared) return;
      const next = lineOf(model, event);
      // a server may take its time: what is asked of one is said at once
      if (next === undefined || (event.status === 'progress' && performance.now() - start < patienceMs)) return;
      line = next;
      draw(line);
    },
    clear: () => {
      clearTimeout(waiting);
      stream.off?.('resize', resized);
      if (drawn !== '' && !cleared) stream.write(erase());
      drawn = '';
      cleared = true;
    },
  };
}

const onOneLine = (text: string): string => printable(text).replaceAll('\n', ' ');

/** In a log: one line, and only for a server that lets wait. */
function logProgress(model: string, stream: Terminal): Progress {
  let late: NodeJS.Timeout | undefined;
  let cleared = false;
  return {
    hear: (event) => {
      if (cleared) return;
      clearTimeout(late);
      if (event.status !== 'connect') return;
      const line = lineOf(model, event)?.(Number.POSITIVE_INFINITY);
      late = setTimeout(() => stream.write(`${line}\n`), 2 * patienceMs).unref();
    },
    clear: () => {
      clearTimeout(late);
      cleared = true;
    },
  };
}

/** What an event says in `room` columns; undefined where it says nothing to people. */
function lineOf(model: string, event: ProgressEvent): ((room: number) => string) | undefined {
  if (event.status === 'progress') {
    const name = onOneLine(model);
    const file = fileWithin(event.file, model);
    const percent = Number.isFinite(event.progress) ? `${Math.floor(event.progress)} %` : '';
    return (room) => fit({ name, file, percent }, room);
  }
  if (event.status !== 'connect') return undefined;
  const again = event.reason === undefined ? '' : `: ${event.reason}, once more`;
  const text = onOneLine(`Asking ${event.endpoint} for ${event.name}${again}`);
  return (room) => text.slice(0, Math.max(0, room));
}

/** The file as the model's name does not say it already. */
function fileWithin(file: string, model: string): string {
  const plain = onOneLine(file);
  const base = plain.split(/[/\\]/).at(-1) ?? plain;
  const own = model.split(/[/\\]/).at(-1);
  return plain.startsWith(model) || base === own ? (base === own ? '' : base) : plain;
}

/** What fits: first the name loses its beginning, whose end tells models apart, then the file does, then all is cut. */
function fit(
  { name, file, percent }: { readonly name: string; readonly file: string; readonly percent: string },
  room: number,
): string {
  const tail = file === '' ? ` ${percent}` : `: ${file} ${percent}`;
  const forName = room - columnsOf(`Loading ${tail}`);
  if (columnsOf(name) <= forName) return `Loading ${name}${tail}`;
  if (forName >= 8) return `Loading ${cutTo(name, forName)}${tail}`;
  const short = room - columnsOf(`Loading  ${percent}`);
  return short >= 4 ? `Loading ${cutTo(name, short)} ${percent}` : percent.slice(0, Math.max(0, room));
}
