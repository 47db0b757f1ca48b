// One line on a terminal while a model loads: only when that takes long enough to wonder, and gone afterwards.
import type { ProgressEvent } from '@relufy/models';

export interface Progress {
  readonly hear: (event: ProgressEvent) => void;
  /** Takes the line away; nothing is written after it. */
  readonly clear: () => void;
}

/** Before that nobody needs a line. */
const patienceMs = 500;

export function showProgress(model: string, stream: Pick<NodeJS.WriteStream, 'isTTY' | 'write'>): Progress {
  const start = performance.now();
  let shown = false;
  let cleared = !stream.isTTY;
  return {
    hear: (event) => {
      if (cleared) return;
      const line = lineOf(model, event);
      // a server may take its time: what is asked of one is said at once
      if (line === undefined || (event.status === 'progress' && performance.now() - start < patienceMs)) return;
      shown = true;
      stream.write(`\r\u{1b}[2K${line}`);
    },
    clear: () => {
      if (shown) stream.write('\r\u{1b}[2K');
      shown = false;
      cleared = true;
    },
  };
}

function lineOf(model: string, event: ProgressEvent): string | undefined {
  if (event.status === 'progress') return `Loading ${model}: ${event.file} ${Math.floor(event.progress)} %`;
  if (event.status !== 'connect') return undefined;
  return `Asking ${event.endpoint} for ${event.name}${event.reason === undefined ? '' : `: ${event.reason}, once more`}`;
}
