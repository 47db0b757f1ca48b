// How fast the team reads memory: the roofline that decode speed is compared with.
import { RelufyError, recordWords, unitBytes } from '@relufy/tensor';
import type { WasmBackend } from './backend.js';
import { MemorySession } from './session.js';

/** The code of the measuring kernel, assembly/bench.ts. */
const streamRead = 255;
const rounds = 8;

/** The buffer is read in parts of at most so many bytes, each timed for itself. */
const partBytes = 2 ** 24;

/**
 * GB/s (1e9 bytes) at which all threads together read memory once. Of several passes it counts the fastest reading of
 * each part: what the machine gives when nothing else runs, even where something else does.
 */
export async function measureStream(backend: WasmBackend, bytes: number): Promise<number> {
  const parts = Math.max(1, Math.round(bytes / partBytes));
  const units = Math.ceil(bytes / parts / unitBytes);
  const totalBytes = parts * units * unitBytes;
  const limits = { maxRows: 0, maxOutputs: 0 };
  const session = await backend.createSession(
    [
      { name: 'stream', kind: 'state', dtype: 'f32', shape: [totalBytes / 4] },
      { name: 'sums', kind: 'state', dtype: 'f32', shape: [(backend.threads * unitBytes) / 4] },
    ],
    limits,
  );
  if (!(session instanceof MemorySession))
    throw new RelufyError('option', `streamBandwidth: expected a wasm backend, got ${backend.name}.`);
  try {
    session.view('stream').fill(1); // pages that were never written are all the same one
    const pass = session.loadRecords(parts, (unitOf) => {
      const words = new Uint32Array(parts * recordWords);
      for (let part = 0; part < parts; part++)
        words.set([streamRead, unitOf('stream') + part * units, units, unitOf('sums')], part * recordWords);
      return words;
    });
    await pass(); // the first pass may run unoptimised code
    const least = await pass();
    for (let round = 2; round < rounds; round++) {
      const elapsedMs = await pass();
      for (let part = 0; part < parts; part++) least[part] = Math.min(least[part] as number, elapsedMs[part] as number);
    }
    const read = (session.view('sums') as Float32Array).reduce((sum, value) => sum + value, 0);
    if (read !== (units * unitBytes) / 4) throw new Error('internal: the streaming kernel read something else');
    return totalBytes / least.reduce((sum, ms) => sum + ms, 0) / 1e6;
  } finally {
    await session.dispose();
  }
}
