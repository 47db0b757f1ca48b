export {
  createNativeBackend,
  type NativeAvailability,
  type NativeBackend,
  type NativeBackendOptions,
  nativeAvailability,
} from './backend.js';
export type { NativeLoadedProgram, NativeSession } from './session.js';
export { streamBandwidth } from './stream.js';
