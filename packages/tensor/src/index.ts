export * from './dtype.js';
export { type ErrorCode, RelufyError, show } from './errors.js';
