// The entry for whoever answers chats without HTTP: what tools and formats make of a prompt, what holds the model to them,
// what takes its answer apart, and how states become an embedding. The routes use the same (output-fields.ts). Runs in browsers.
export type { AnswerParser, AnswerPart } from './answer-parser/answer-parser.js';
export { type OutputAsked, type OutputFields, outputFieldsOf, type ShapedOutput } from './output-fields.js';
export { type Pooling, pooled } from './pooling.js';
export { type ChatFields, chatIds } from './prompts.js';
