// Ctrl-C and SIGTERM within a command: the first one asks (a signal aborts), the second one ends, whatever the process is
// doing. While the main thread computes it hears nothing, so a small thread listens beside it and kills a process whose
// main thread does not answer. A library has none of this: commands alone import it.
import { Worker } from 'node:worker_threads';
import { Interruption } from './failure.js';

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
type Name = keyof typeof exitCodes;

/** How long the main thread has to obey a second signal before it is killed. */
const patienceMs = 300;

/** Runs work whose signal aborts on Ctrl-C and SIGTERM. */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const names = Object.keys(exitCodes) as Name[];
  const heard = (name: NodeJS.Signals) => {
    const exitCode = exitCodes[name as Name];
    if (controller.signal.aborted) process.exit(exitCode);
    controller.abort(new Interruption(exitCode));
  };
  for (const name of names) process.on(name, heard);
  const watcher = watchFromBeside();
  try {
    return await work(controller.signal);
  } finally {
    for (const name of names) process.off(name, heard);
    await watcher?.terminate();
  }
}

/**
 * Node hands signals to the main thread alone, but what lies below, libuv, to every thread that listens: the binding that
 * process.on uses is taken directly. Where that is not to be had, a second signal waits for the main thread.
 */
const watch = `
  process.noDeprecation = true;
  const { workerData } = require('node:worker_threads');
  let count = 0;
  try {
    const { Signal } = process.binding('signal_wrap');
    for (const number of workerData.numbers) {
      const signal = new Signal();
      signal.unref();
      signal.onsignal = () => {
        if (++count >= 2) setTimeout(() => process.kill(process.pid, 'SIGKILL'), workerData.patienceMs);
      };
      signal.start(number);
    }
  } catch {}
  setInterval(() => {}, 1 << 30);
`;

function watchFromBeside(): Worker | undefined {
  if (process.platform === 'win32') return undefined;
  try {
    const workerData = { numbers: [2, 15], patienceMs };
    const resourceLimits = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2 };
    const worker = new Worker(watch, { eval: true, workerData, resourceLimits, execArgv: [], stdout: false });
    worker.on('error', () => {});
    worker.unref();
    return worker;
  } catch {
    return undefined;
  }
}
