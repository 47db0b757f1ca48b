// The ids of a prompt: of a text, a chat or ids, checked against the vocabulary and the context, with errors in a user's words.
// Does not own tokenizers nor templates (@relufy/tokenizer), nor what is computed of ids (steps.ts).
import { aWhole, checkItems, isList, RelufyError, show } from '@relufy/tensor';
import type { ChatMessage, Tokenizer } from '@relufy/tokenizer';
import type { ModelSpec } from '../spec.js';
import type { GenerateOptions, Prompt } from './generate.js';
import { listIds, wholeBelow } from './lists.js';

/** What a prompt is held against. */
interface Reader {
  readonly name: string;
  readonly spec: ModelSpec;
  readonly contextLength: number;
  readonly tokenizer: Tokenizer | undefined;
}

/** @throws RelufyError `state` when the model came without a tokenizer. */
export function tokenizerOf({ name, tokenizer }: Reader): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new RelufyError(
    'state',
    `model "${name}": expected a tokenizer.json (or vocab.json and merges.txt) beside the weights, got none. Pass token ids, or add the files.`,
  );
}

/** `name`: what they are to the user. */
export function checkIds(model: Reader, given: Iterable<number>, name = 'input ids'): readonly number[] {
  const { contextLength } = model;
  const { vocabSize } = model.spec;
  const ids = listIds(name, given, contextLength + 1);
  if (ids.length === 0) throw new RelufyError('input', `${name}: expected at least one, got none.`);
  if (ids.length > contextLength) {
    const count = isList(given) ? given.length : `more than ${contextLength}`;
    throw new RelufyError(
      'input',
      `${name}: expected at most ${contextLength} (the context), got ${count}. ${shorter(model, 'prompt')}`,
    );
  }
  checkItems(name, ids, aWhole(0, vocabSize - 1), wholeBelow(vocabSize));
  return ids;
}

/** What helps against too many tokens; a context that is all the model was made for cannot grow. */
function shorter({ contextLength, spec }: Reader, what: string): string {
  return contextLength < spec.maxPositionEmbeddings
    ? `Shorten the ${what}, or load the model with a larger contextLength.`
    : `Shorten the ${what}.`;
}

export function promptIds(model: Reader, prompt: Prompt, options: GenerateOptions): readonly number[] {
  if (typeof prompt === 'string')
    return checkIds(model, tokenizerOf(model).encode(prompt, { addSpecialTokens: options.addSpecialTokens ?? true }));
  if (ArrayBuffer.isView(prompt)) return checkIds(model, prompt as unknown as Iterable<number>);
  if (!Array.isArray(prompt))
    throw new RelufyError('input', `prompt: expected a text, messages or token ids, got ${show(prompt)}.`);
  if (prompt.some((item) => typeof item === 'object')) {
    const tools = options.toolChoice === 'none' ? undefined : options.tools;
    return chatIds(model, prompt as readonly ChatMessage[], tools);
  }
  return checkIds(model, prompt as readonly number[]);
}

/** The ids of a chat: its length is told in a user's words. */
function chatIds(model: Reader, messages: readonly ChatMessage[], tools: GenerateOptions['tools']): readonly number[] {
  for (const message of messages)
    if (typeof message !== 'object' || message === null || typeof message.role !== 'string')
      throw new RelufyError('input', `prompt: expected messages with a role and a content, got ${show(message)}.`);
  const ids = tokenizerOf(model).encodeChat(messages, { addGenerationPrompt: true, ...(tools && { tools }) });
  if (ids.length > model.contextLength)
    throw new RelufyError(
      'input',
      `${messages.length === 1 ? 'Your message is' : 'Your messages are'} too long: ${ids.length} tokens, this model holds ${model.contextLength}. ${shorter(model, messages.length === 1 ? 'message' : 'conversation')}`,
    );
  return checkIds(model, ids);
}
