// Whether a model fits into memory, known from its headers before its weights are read.
// Does not own storage (model-store.ts); a WebAssembly memory that cannot grow is still refused by the backend.
import { type LoadFilesOptions, type ModelFiles, planModel } from '@relufy/models';
import { byteCount } from '@relufy/tensor';

/** A 32-bit memory, less what activations and programs take. */
const wasmLimit = 4 * 2 ** 30 - 2 ** 27;

export const gigabytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** @throws Error that says what helps. */
export async function refuseTooLarge(files: ModelFiles, options: LoadFilesOptions): Promise<void> {
  const plan = await planModel(files, options);
  try {
    const bytes = plan.decoder.buffers.reduce((sum, buffer) => sum + byteCount(buffer, plan.limits), 0);
    // in GiB, rounded down to at most 8, and only where the browser tells
    const { deviceMemory } = navigator as { deviceMemory?: number };
    const device = deviceMemory !== undefined && deviceMemory < 8 ? deviceMemory * 0.75 * 2 ** 30 : wasmLimit;
    const limit = Math.min(wasmLimit, device);
    if (bytes <= limit) return;
    const smaller = options.dtype === 'int4' || options.dtype === 'uint4' ? '' : 'int4 weights, ';
    throw new Error(
      `${files.name}: needs ${gigabytes(bytes)} of memory, expected at most ${gigabytes(limit)} ${limit < wasmLimit ? 'on this device' : 'in a browser'}. Load it with ${smaller}a shorter context, or run it with relufy serve.`,
    );
  } finally {
    await plan.close();
  }
}
