// What a piece of code costs this process, not what a clock on the wall says: a test that asks for an end within a second
// must not fail because the machine has other work. Does not own what is waited for without computing: that is bounded by
// the limit of the test itself.

/** Seconds of computing that this process spent while it ran, those of its helper threads (garbage, compilation) too. */
export async function cpuSeconds(run: () => unknown): Promise<number> {
  const began = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1e6;
}
