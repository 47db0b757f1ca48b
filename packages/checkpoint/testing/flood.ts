// A sender without an end, and what a run costs in memory while it lasts.
import { cpuSeconds } from '../../../tools/testing/cpu-time.js';

/** Writes as fast as it is read. */
export function flood(to: NodeJS.WritableStream & { destroyed?: boolean }): void {
  const piece = Buffer.alloc(2 ** 16, ' ');
  const more = (): void => {
    while (!to.destroyed && to.write(piece));
  };
  to.on('drain', more);
  to.on('error', () => undefined);
  more();
}

/** The most memory in use above what was in use before, looked at every few milliseconds; and the time of this process alone. */
export async function peakOf(run: () => Promise<unknown>): Promise<{ seconds: number; peak: number }> {
  const used = (): number => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = used();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, used());
  }, 5);
  let seconds = 0;
  try {
    seconds = await cpuSeconds(run);
  } finally {
    clearInterval(timer);
  }
  return { seconds, peak: Math.max(most, used()) - before };
}
