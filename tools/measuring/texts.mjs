// Texts of measurements as their run files name them: a file of the folder `shared` beside the checkout or of the checkout
// itself, cut by bytes or characters; or ids as they lie beside a model. Does not own what is made of them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** `shared/...` lies beside the checkout, everything else in it. @param {string} path */
export const placeOf = (path) => join(root, path.startsWith('shared/') ? '..' : '', path);

/**
 * Without marks between documents; of JSON lines one key's texts, one under the other.
 * @param {{ file: string, bytes?: number, characters?: number, json?: string }} text
 */
export function textOf({ file, bytes, characters, json }) {
  const stored = readFileSync(placeOf(file));
  const whole = file.endsWith('.gz') ? gunzipSync(stored) : stored;
  const cut = new TextDecoder().decode(bytes === undefined ? whole : whole.subarray(0, bytes)).replace(/\uFFFD$/, '');
  // the last line may be cut
  const lines = json === undefined ? [] : cut.split('\n').slice(0, -1);
  const plain = json === undefined ? cut : lines.map((line) => JSON.parse(line)[json]).join('\n');
  return (characters === undefined ? plain : plain.slice(0, characters)).replaceAll('<|endoftext|>', '');
}

/** Token ids of 16 bits each. @param {string} path */
export function storedIds(path) {
  const bytes = readFileSync(placeOf(path));
  return [...new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength))];
}

/**
 * The first windows of a list of ids, each as long as asked.
 * @param {readonly number[]} ids @param {number} count @param {number} length
 */
export const windowsOf = (ids, count, length) =>
  Array.from({ length: count }, (_, at) => ids.slice(at * length, (at + 1) * length)).filter((own) => own.length > 1);
