export type { ChatMessage, ChatOptions } from './chat.js';
export type { ChatRole } from './chat-roles.js';
export type { TokenizerFiles } from './definition.js';
export { StopMatcher } from './stop.js';
export { StreamDetokenizer, type StreamOptions } from './stream.js';
export type { Sink } from './text-stages.js';
export { createTokenizer, type DecodeOptions, type EncodeOptions, type IdSink, type Tokenizer } from './tokenizer.js';
