// What a request wants of the form of an answer: tools that may be called, a format that the text must have, reasoning
// kept apart. Gives the parser of the answer and the options of `generate` that hold the model to it. Does not own the
// parsers (answer-parser/) or the constraint (@relufy/models).
import type { GenerateOptions, Model } from '@relufy/models';
import type { AnswerParser } from './answer-parser/answer-parser.js';
import type { Body } from './body.js';
import type { ChatFields } from './prompts.js';

export interface ShapedOutput {
  /** For the template; none where the model is not to call any. */
  readonly tools: readonly unknown[];
  readonly options: Partial<GenerateOptions>;
  readonly parser: ((prompt: readonly number[]) => AnswerParser) | undefined;
}

export interface OutputFields {
  forModel(model: Model, chat: ChatFields): ShapedOutput;
}

/** What the routes call their fields differs; what they mean does not. */
export interface OutputAsked {
  readonly tools?: unknown;
  readonly toolChoice?: unknown;
  readonly parallel?: boolean | undefined;
  /** As OpenAI's chats have it. */
  readonly responseFormat?: unknown;
  /** As Ollama has it: "json" or a schema. */
  readonly format?: unknown;
}

export function outputFields(body: Body): OutputFields {
  return outputFieldsOf({
    tools: body.raw('tools'),
    toolChoice: body.raw('tool_choice'),
    responseFormat: body.raw('response_format'),
  });
}

/** @throws ApiError 400 that names the field. */
export function outputFieldsOf(_asked: OutputAsked): OutputFields {
  return { forModel: () => ({ tools: [], options: {}, parser: undefined }) };
}
