export { ApiError, type ApiErrorDetails, type ErrorBody } from './api-error.js';
export type { BatchOptions } from './batches.js';
export { createHandler, type Handler, type HandlerOptions, type RequestContext } from './handler.js';
export { type Listening, type ListenOptions, listen } from './listen.js';
export { createLog, type Log, type LogOptions } from './log.js';
export { durationMs } from './sampling-fields.js';
export type { LoadHooks, ModelFacts, ServedModel } from './served-models.js';
export { staticPage } from './static-page.js';
