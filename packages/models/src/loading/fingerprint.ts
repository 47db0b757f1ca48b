// Tells models apart without reading them whole, so that what was made for one (a plan, cached answers) is not used with
// another. Against mistakes, not against attacks: 64 bits of FNV-1a, which runs where no cryptography is to be had.
import type { Checkpoint } from '@relufy/checkpoint';
import { narrowToBf16, widen } from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';

/** Where a converted model keeps the fingerprint of what it was converted from. */
export const fingerprintKey = 'relufy.fingerprint';

/** Of a model's activation, and every tensor's name, shape and first row; a converted model has that of its source. */
export async function fingerprint(
  { ffn }: Pick<ModelSpec, 'ffn'>,
  checkpoint: Checkpoint,
  signal?: AbortSignal,
): Promise<string> {
  const recorded = checkpoint.metadata[fingerprintKey];
  if (recorded !== undefined) return recorded;
  const hash = new Fnv();
  const { kind, threshold } = ffn.activation;
  hash.text(`${ffn.kind} ${kind} ${threshold}`);
  for (const { name, shape, dtype } of checkpoint.tensors.values()) {
    hash.text(`${name} ${shape.join()}`);
    if (shape.slice(0, -1).includes(0)) continue;
    if (!isNoFloat(dtype)) hash.bytes((await checkpoint.readRows(name, 0, 1, signal)).data);
    // masks and positions that other formats keep beside the weights are no weights: their names do
    else if (checkpoint.format === 'safetensors') hash.bytes(await checkpoint.readStored(name, 0, 1, signal));
  }
  return hash.hex();
}

/**
 * The same for one model in every weight format: of its activation and of its norms, which quantising and converting leave
 * as they are, whatever they are called and in whatever order they lie. Fine-tuning changes them.
 */
export async function formatFreeFingerprint(
  { ffn, hiddenSize }: Pick<ModelSpec, 'ffn' | 'hiddenSize'>,
  checkpoint: Checkpoint,
  signal?: AbortSignal,
): Promise<string> {
  const own: string[] = [];
  for (const { name, shape, dtype } of checkpoint.tensors.values()) {
    if (shape.length !== 1 || shape[0] !== hiddenSize || isNoFloat(dtype)) continue;
    const { dtype: stored, data } = await checkpoint.readRows(name, 0, 1, signal);
    const hash = new Fnv();
    // as bf16, in which some files hold them
    const values = narrowToBf16(widen(stored, data));
    hash.bytes(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    own.push(hash.hex());
  }
  const { kind, threshold } = ffn.activation;
  const hash = new Fnv();
  hash.text([`${ffn.kind} ${kind} ${threshold}`, ...own.sort()].join('\n'));
  return hash.hex();
}

/** Integers, truth values, and the narrow floats of safetensors: `readRows` gives none of them. */
const isNoFloat = (dtype: string): boolean => /^(?:[UI]\d+|BOOL|C64|F[468](?:_.*)?)$/.test(dtype);

/** FNV-1a from two offsets, 32 bits each. */
class Fnv {
  #high = 0x811c9dc5;
  #low = 0x01000193;

  bytes(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.#high = Math.imul(this.#high ^ byte, 0x01000193);
      this.#low = Math.imul(this.#low ^ byte, 0x01000193);
    }
  }

  text(text: string): void {
    this.bytes(new TextEncoder().encode(`${text}\n`));
  }

  hex(): string {
    return [this.#high, this.#low].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }
}
