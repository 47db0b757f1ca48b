export { boundedPattern, type Engine as PatternEngine, type PatternSource } from './bounded-regex.js';
export type { ChatOptions } from './chat.js';
export type { TokenizerFiles } from './definition.js';
export type { ChatMessage, ChatRole, ContentPart, ToolCall } from './messages.js';
export { StopMatcher } from './stop.js';
export { StreamDetokenizer, type StreamOptions } from './stream.js';
export type { Sink } from './text-stages.js';
export { createTokenizer, type DecodeOptions, type EncodeOptions, type IdSink, type Tokenizer } from './tokenizer.js';
