// Which backend trains: the native one where its binary is there, else the reference executor, and one line that says why.
// Does not own how a backend is found (@relufy/models).
import { createBackend } from '@relufy/models';
import { type Backend, createReferenceBackend, RelufyError } from '@relufy/tensor';

export interface TrainingBackendOptions {
  readonly backend?: 'auto' | 'native' | 'wasm' | 'reference';
  readonly threads?: number;
}

/**
 * Makes the backend of a run. Whoever gets it disposes it.
 * @throws RelufyError `backend` when the one that is named is not there.
 */
export async function createTrainingBackend(
  options: TrainingBackendOptions = {},
): Promise<{ backend: Backend; description: string }> {
  const { backend = 'auto', threads } = options;
  const create = (name: 'native' | 'wasm' | 'reference') =>
    createBackend({ backend: name, ...(threads !== undefined && { threads }) });
  if (backend !== 'auto') return create(backend);
  try {
    return await create('native');
  } catch (error) {
    if (!RelufyError.is(error) || error.code !== 'backend') throw error;
    const reference = createReferenceBackend();
    return { backend: reference, description: `${reference.description} (${error.message})` };
  }
}
