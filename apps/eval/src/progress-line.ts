// How far an evaluation is, in one line: rewritten on a terminal, a new one twice a minute elsewhere.
import { printable } from '@relufy/tensor';

export interface EvalProgress {
  readonly task: string;
  readonly tokens: number;
  readonly totalTokens: number;
  readonly requests: number;
  readonly elapsedMs: number;
  readonly etaMs: number;
}

export interface ProgressLine {
  readonly hear: (progress: EvalProgress) => void;
  readonly clear: () => void;
}

type Output = Pick<NodeJS.WriteStream, 'write'> & { readonly isTTY?: boolean };

const terminalMs = 200;
const logMs = 30_000;

export function progressLine(output: Output, now: () => number = () => performance.now()): ProgressLine {
  const pause = output.isTTY ? terminalMs : logMs;
  let last = now();
  let shown = false;
  return {
    hear: (progress) => {
      if (now() - last < pause) return;
      last = now();
      const line = describeProgress(progress);
      output.write(output.isTTY ? `\r\u{1b}[2K${line}` : `${line}\n`);
      shown = true;
    },
    clear: () => {
      if (shown && output.isTTY) output.write('\r\u{1b}[2K');
      shown = false;
    },
  };
}

export function describeProgress({ task, tokens, totalTokens, requests, elapsedMs, etaMs }: EvalProgress): string {
  const share = Math.floor((100 * tokens) / Math.max(1, totalTokens));
  const left = Number.isFinite(etaMs) ? `, ${duration(etaMs)} left` : '';
  return `${printable(task)} ${share} % (${requests} requests), ${duration(elapsedMs)} gone${left}`;
}

export function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}
