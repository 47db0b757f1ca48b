// The backends that tests of training run on: the reference executor, and the native backend where its binary is there.
import { type Backend, createReferenceBackend } from '@relufy/tensor';
import { createTrainingBackend } from '../index.js';

/** [name, backend]; tests dispose them. */
export async function trainingBackends(): Promise<[string, Backend][]> {
  const { backend } = await createTrainingBackend({ threads: 2 });
  const reference: [string, Backend] = ['reference', createReferenceBackend()];
  return backend.name === 'reference' ? [reference] : [reference, [backend.name, backend]];
}
