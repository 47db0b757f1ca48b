// How fast the team reads memory: the roofline that decode speed is compared with.
import { RelufyError, recordWords, unitBytes } from '@relufy/tensor';
import type { NativeBackend } from './backend.js';
import { MemorySession } from './session.js';

/** The code of the measuring kernel, cpp/kernels/stream.h. */
const streamRead = 255;
const rounds = 5;
/** A buffer is read in parts of so many units, 8 MiB: the least time of each is what counts. */
const partUnits = 2 ** 17;

/** GB/s (1e9 bytes) over `bytes` of memory, read by all threads together: the fastest of several passes, part by part. */
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
    const parts = Math.ceil(units / partUnits);
    const pass = session.loadRecords(parts, (unitOf) => {
      const words = new Uint32Array(parts * recordWords);
      for (let part = 0; part < parts; part++) {
        const first = part * partUnits;
        const length = Math.min(partUnits, units - first);
        words.set([streamRead, unitOf('stream') + first, length, unitOf('sums')], part * recordWords);
      }
      return words;
    });
    let least = await pass();
    for (let round = 1; round < rounds; round++) {
      const times = await pass();
      least = least.map((ms, part) => Math.min(ms, times[part] as number));
    }
    const total = (session.view('sums') as Float32Array).reduce((sum, value) => sum + value, 0);
    const lastPart = units - (parts - 1) * partUnits;
    if (total < (lastPart * unitBytes) / 4 / 1.01)
      throw new Error('internal: the streaming kernel read something else');
    return (units * unitBytes) / least.reduce((sum, ms) => sum + ms, 0) / 1e6;
  } finally {
    await session.dispose();
  }
}
