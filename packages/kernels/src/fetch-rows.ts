// What the op fetchRows calls of its host: rows of files are read into a session's memory, by each thread for itself, or by
// the first for all where a file can be opened once only. Does not own which rows (assembly/fetch.ts).

/** How files are read where this runs: Node's `readSync`, or what access handles of a browser do. */
export type ReadFile = (file: number, into: Uint8Array, at: number, bytes: number, from: number) => number;

/** A file as the threads of steps know it. */
export interface KnownFile {
  readonly number: number;
  /** The first thread alone could open it, and reads for all. */
  readonly byFirst: boolean;
}

/**
 * What a session writes into the line of a stored buffer, as f64: the open file's number, its first byte, its stride,
 * where in a row its f16 scales begin and end, and whether the first thread alone reads it (1), which assembly/fetch.ts looks at.
 */
export type PlaceLine = readonly [
  file: number,
  firstByte: number,
  stride: number,
  scales: number,
  scalesEnd: number,
  byFirst: number,
];

export function writePlace(memory: ArrayBufferLike, at: number, place: PlaceLine): void {
  new Float64Array(memory, at, 6).set(place);
}

/** An error that has no number of the system. */
const unknownError = 5;
/** As `fetchCounter.failure` of @relufy/tensor has it. */
const endOfFile = -1;
const notFinite = -2;

/** Kernels take a scale for finite: what is not would become a number. */
function areFinite(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from + 1; at < end; at += 2) if (((bytes[at] as number) & 0x7c) === 0x7c) return false;
  return true;
}

export function fetchImports(memory: WebAssembly.Memory, readFile: ReadFile | undefined) {
  return {
    /** Addresses are signed, as WebAssembly hands them over. */
    readRows(
      place: number,
      to: number,
      bytes: number,
      table: number,
      missing: number,
      from: number,
      end: number,
      failure: number,
    ): void {
      const { buffer } = memory;
      const line = new Float64Array(buffer, place >>> 0, 6) as unknown as PlaceLine;
      const [file, firstByte, stride, scales, scalesEnd] = line;
      const all = new Uint8Array(buffer);
      const listed = new Int32Array(buffer, missing >>> 0, end);
      const slotOf = new Int32Array(buffer, table >>> 0);
      const fail = (what: number): void => new DataView(buffer).setInt32(failure >>> 0, what, true);
      try {
        for (let i = from; i < end; i++) {
          const n = listed[i] as number;
          const row = (to >>> 0) + (slotOf[n] as number) * bytes;
          for (let done = 0; done < bytes; ) {
            const place = firstByte + n * stride + done;
            const count = (readFile as ReadFile)(file, all, row + done, bytes - done, place);
            if (count === 0) {
              fail(endOfFile);
              return;
            }
            done += count;
          }
          if (!areFinite(all, row + scales, row + scalesEnd)) {
            fail(notFinite);
            return;
          }
        }
      } catch (error) {
        fail(Math.abs((error as { errno?: number }).errno ?? unknownError));
      }
    },
  };
}
