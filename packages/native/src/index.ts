export { measureStreaming as streamBandwidth } from '@relufy/tensor';
export {
  createNativeBackend,
  type NativeAvailability,
  type NativeBackend,
  type NativeBackendOptions,
  nativeAvailability,
} from './backend.js';
export type { NativeLoadedProgram, NativeSession } from './session.js';
