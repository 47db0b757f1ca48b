// Which backend Node takes: the native one where its binary is there, else WASM, and one line that says why.
import { RelufyError } from '@relufy/tensor';
import { type CreateBackend, createPortableBackend } from '../loading/load-model.js';

export const createNodeBackend: CreateBackend = async (options) => {
  const { backend: wanted = 'auto', threads } = options;
  if (wanted !== 'auto' && wanted !== 'native') return createPortableBackend(options);
  const { createNativeBackend, nativeAvailability } = await import('@relufy/native');
  const { available, reason } = nativeAvailability();
  if (available) {
    const backend = await createNativeBackend(threads === undefined ? {} : { threads });
    return { backend, description: backend.description };
  }
  if (wanted === 'native')
    throw new RelufyError(
      'backend',
      `loadModel option "backend": expected the native backend to be there, got none: ${reason}. Use "auto" or "wasm".`,
    );
  const portable = await createPortableBackend(options);
  return { ...portable, description: `${portable.description} (native: ${reason})` };
};
