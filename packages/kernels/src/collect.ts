// Node: collects garbage now. V8 counts a shared memory as no bytes at all, and a worker that waits never allocates, so
// without this a disposed model would stay in memory for ever. V8 shows its collector to a context that is made while
// the flag is set (jest's leak detector does the same). The flag is the process's: threads take the collector when they
// start, one after the other, and where another thread was in the way there is none.
// Takes the modules and imports none: the worker, which browsers load too, has to find them itself.

/** This thread's collector, of the modules `node:v8` and `node:vm`. */
export function findCollector(
  { setFlagsFromString }: Pick<typeof import('node:v8'), 'setFlagsFromString'>,
  { runInNewContext }: Pick<typeof import('node:vm'), 'runInNewContext'>,
): () => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext("typeof gc === 'function' ? gc : () => {}") as () => void;
  setFlagsFromString('--no-expose-gc');
  return collect;
}
