// How fast the team reads memory: the roofline that decode speed is compared with.
import { RelufyError, recordWords, unitBytes } from '@relufy/tensor';
import type { NativeBackend } from './backend.js';
import { MemorySession } from './session.js';

/** The code of the measuring kernel, cpp/kernels/stream.h. */
const streamRead = 255;
const rounds = 5;

/** GB/s (1e9 bytes) of the fastest of several passes over `bytes` of memory, read once each by all threads together. */
export async function streamBandwidth(backend: NativeBackend, bytes: number): Promise<number> {
  const units = Math.ceil(bytes / unitBytes);
  const session = await backend.createSession(
    [
      { name: 'stream', kind: 'state', dtype: 'f32', shape: [(units * unitBytes) / 4] },
      { name: 'sums', kind: 'state', dtype: 'f32', shape: [(backend.threads * unitBytes) / 4] },
    ],
    { maxRows: 0, maxOutputs: 0 },
  );
  if (!(session instanceof MemorySession))
    throw new RelufyError('option', `streamBandwidth: expected a native backend, got ${backend.name}.`);
  try {
    session.view('stream').fill(1); // pages that were never written are all the same one
    const pass = session.loadRecords((unitOf) => {
      const words = new Uint32Array(recordWords);
      words.set([streamRead, unitOf('stream'), units, unitOf('sums')]);
      return words;
    });
    let best = Number.POSITIVE_INFINITY;
    for (let round = 0; round < rounds; round++) {
      const [elapsedMs] = await pass();
      best = Math.min(best, elapsedMs as number);
    }
    const total = (session.view('sums') as Float32Array).reduce((sum, value) => sum + value, 0);
    if (total < (units * unitBytes) / 4 / 1.01) throw new Error('internal: the streaming kernel read something else');
    return (units * unitBytes) / best / 1e6;
  } finally {
    await session.dispose();
  }
}
