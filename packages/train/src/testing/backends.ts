// The backends that tests of training run on: the reference executor, WASM, and the native backend where its binary is there.
import { createBackend } from '@relufy/models';
import type { HostBackend } from '@relufy/tensor';

/** [name, backend]; tests dispose them. */
export async function trainingBackends(): Promise<[string, HostBackend][]> {
  const create = async (name: 'auto' | 'wasm' | 'reference'): Promise<[string, HostBackend]> => {
    const { backend } = await createBackend({ backend: name, threads: 2 });
    return [backend.name, backend];
  };
  const found = [await create('reference'), await create('wasm'), await create('auto')];
  return [...new Map(found)].map(([name, backend]) => [name, backend]);
}
