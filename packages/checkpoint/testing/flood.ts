// A sender without an end, and what a run costs in memory while it lasts.

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

/** The most memory in use above what was in use before, looked at every few milliseconds. */
export async function peakOf(run: () => Promise<unknown>): Promise<{ ms: number; peak: number }> {
  const used = (): number => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  const before = used();
  const start = performance.now();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, used());
  }, 5);
  try {
    await run();
  } finally {
    clearInterval(timer);
  }
  return { ms: performance.now() - start, peak: Math.max(most, used()) - before };
}
