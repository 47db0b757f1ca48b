// The checkout's own packages, as built. This folder is outside the workspace, so they are taken by path from `dist`.
// Owns: the paths, and what is said when they are not built. Native is optional: undefined with the reason.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

/** The `relufy` command. */
export const cli = `${root}packages/relufy/dist/cli.js`;

/** @param {string} path below packages/ */
async function built(path) {
  const file = new URL(`../../packages/${path}`, import.meta.url);
  if (!existsSync(file)) throw new Error(`packages/${path}: expected it to be built. Run: npx pnpm build`);
  return import(file.href);
}

export const importModels = () => built('models/dist/node.js');
export const importKernels = () => built('kernels/dist/node.js');
export const importCheckpoint = async () => ({
  ...(await built('checkpoint/dist/index.js')),
  ...(await built('checkpoint/dist/node.js')),
});

/** @returns {Promise<{ native?: any, reason: string }>} */
export async function importNative() {
  try {
    const native = await built('native/dist/index.js');
    const { available, reason } = native.nativeAvailability();
    return available ? { native, reason } : { reason };
  } catch (error) {
    return { reason: error.message };
  }
}
