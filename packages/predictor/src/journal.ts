// What a long calibration has measured so far, so that a run that was killed goes on instead of beginning again: a
// calibration is deterministic, so a number that was measured once is the number. Does not own files (whoever runs the
// calibration keeps the journal) nor what is measured.

/** Keys name a measurement of one calibration; values are JSON. */
export interface Journal {
  get(key: string): unknown;
  put(key: string, value: unknown): void | Promise<void>;
}

/** Gives what the journal knows, or measures and keeps it. */
export async function remembered<Value>(
  journal: Journal | undefined,
  key: string,
  measure: () => Promise<Value>,
): Promise<Value> {
  const known = journal?.get(key);
  if (known !== undefined) return known as Value;
  const value = await measure();
  await journal?.put(key, value);
  return value;
}

/** Floats as a text that gives their bits back. */
export function encodeFloats(values: Float32Array): string {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const parts: string[] = [];
  for (let at = 0; at < bytes.length; at += 8192) parts.push(String.fromCharCode(...bytes.subarray(at, at + 8192)));
  return btoa(parts.join(''));
}

export const decodeFloats = (text: string): Float32Array =>
  new Float32Array(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
