// Not an engine but the measure of them: how fast all threads together read memory, asked in every round. The median of
// passes, since tokens are medians too: the best reading of each part is up to 1.4 times as fast where memory fluctuates.
import { importKernels, importNative } from '../relufy-packages.mjs';
import { createBackend } from './relufy.mjs';

/** More than any cache holds. */
const bytes = 512e6;

/** @param {import('./engine.mjs').EngineSpec} spec @returns {Promise<import('./engine.mjs').Engine>} */
export async function open(spec) {
  const backend = await createBackend(spec);
  const { streamBandwidth } = spec.backend === 'native' ? (await importNative()).native : await importKernels();
  const refuse = async () => {
    throw new Error('stream: reads memory, runs no model');
  };
  return {
    description: `${backend.description}: streaming reads of ${bytes / 1e6} MB`,
    facts: {},
    prefill: refuse,
    decode: refuse,
    bandwidth: () => streamBandwidth(backend, bytes, { of: 'median' }),
    close: () => backend.dispose(),
  };
}
