// How fast a backend's team reads memory: the roofline that decode speed is compared with.
// Owns the passes and their statistic. The reading is a kernel of each backend that is not in the op table:
// record: streamRead, the first unit, the number of units, the unit where the threads put their sums (a unit a thread),
// and how many sums there are: who takes no part in a read has none of it.
import type { Backend, HostSession, Session } from './backend.js';
import { recordWords } from './encode.js';
import { RelufyError } from './errors.js';
import { unitBytes } from './plan.js';

/** The code of the measuring kernel. */
const streamRead = 255;
/** After a first one, which may run unoptimised code. */
const passes = 7;
/** The buffer is read in parts of at most so many bytes, each timed for itself. */
const partBytes = 2 ** 24;

/** A session that also runs records made by hand: `unitOf` gives the first unit of a buffer; a run gives ms by record. */
export interface RecordSession extends HostSession {
  loadRecords(count: number, records: (unitOf: (buffer: string) => number) => Uint32Array): () => Promise<Float64Array>;
}

export interface StreamingOptions {
  /**
   * `best` adds up the fastest reading of each part: what the machine gives when nothing else runs, even where something
   * does. `median` is the median of whole passes: what it gives just now, to compare with a mean or median of other work.
   */
  readonly of?: 'best' | 'median';
}

/**
 * GB/s (1e9 bytes) at which all threads of a backend together read `bytes` of memory once.
 * @throws RelufyError `option` for a backend whose sessions are not of records; `memory` when the buffer does not fit.
 */
export async function measureStreaming(
  backend: Backend,
  bytes: number,
  { of = 'best' }: StreamingOptions = {},
): Promise<number> {
  if (of !== 'best' && of !== 'median')
    throw new RelufyError('option', `streamBandwidth option "of": expected best or median, got ${String(of)}.`);
  const parts = Math.max(1, Math.ceil(bytes / partBytes));
  const units = Math.ceil(bytes / parts / unitBytes);
  const totalBytes = parts * units * unitBytes;
  const session = await backend.createSession(
    [
      { name: 'stream', kind: 'state', dtype: 'f32', shape: [totalBytes / 4] },
      { name: 'sums', kind: 'state', dtype: 'f32', shape: [(backend.threads * unitBytes) / 4] },
    ],
    { maxRows: 0, maxOutputs: 0 },
  );
  try {
    if (!isRecordSession(session))
      throw new RelufyError('option', `streamBandwidth: expected a wasm or native backend, got ${backend.name}.`);
    session.view('stream').fill(1); // pages that were never written are all the same one
    const pass = session.loadRecords(parts, (unitOf) => {
      const words = new Uint32Array(parts * recordWords);
      for (let part = 0; part < parts; part++)
        words.set(
          [streamRead, unitOf('stream') + part * units, units, unitOf('sums'), backend.threads],
          part * recordWords,
        );
      return words;
    });
    await pass();
    const times: Float64Array[] = [];
    for (let i = 0; i < passes; i++) times.push(await pass());
    const read = (session.view('sums') as Float32Array).reduce((sum, value) => sum + value, 0);
    if (read !== (units * unitBytes) / 4) throw new Error('internal: the streaming kernel read something else');
    return totalBytes / (of === 'best' ? bestPass(times) : medianPass(times)) / 1e6;
  } finally {
    await session.dispose();
  }
}

const isRecordSession = (session: Session): session is RecordSession => 'loadRecords' in session;

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

const bestPass = (times: readonly Float64Array[]) =>
  sum((times[0] as Float64Array).map((_, part) => Math.min(...times.map((each) => each[part] as number))));

const medianPass = (times: readonly Float64Array[]) =>
  times.map(sum).sort((a, b) => a - b)[times.length >> 1] as number;
