// What the public calls of this package take, in tables; how a table is checked, and worded, is tensor's (checks.ts).
// Does not own what a file of a tokenizer may say, nor messages (chat.ts).
import {
  aBoolean,
  anObjectThat,
  aText,
  aWhole,
  checkOptions,
  checkValue,
  listOf,
  type OptionRules,
  type Rule,
} from '@relufy/tensor';
import type { ChatOptions } from './chat.js';
import type { TokenizerFiles } from './definition.js';
import type { StreamOptions } from './stream.js';
import type { DecodeOptions, EncodeOptions } from './tokenizer.js';

const files: OptionRules<TokenizerFiles> = {
  name: aText,
  tokenizerJson: aText,
  tokenizerConfig: aText,
  vocabJson: aText,
  mergesTxt: aText,
  addedTokensJson: aText,
  specialTokensMap: aText,
  chatTemplateJinja: aText,
  addBosToken: aBoolean,
};
const encoding: OptionRules<EncodeOptions> = { addSpecialTokens: aBoolean };
const decoding: OptionRules<DecodeOptions> = { skipSpecialTokens: aBoolean, cleanUpTokenizationSpaces: aBoolean };
const someStops = listOf(aText, 'a list of texts');
const streaming: OptionRules<StreamOptions> = {
  ...decoding,
  stop: someStops,
  prompt: listOf(aWhole(0), 'a list of token ids'),
};
const aList: Rule = { expected: 'a list', fits: Array.isArray };
/** Whatever else there is goes to the template. */
const chatting = {
  addGenerationPrompt: aBoolean,
  continueFinalMessage: aBoolean,
  template: aText,
  tools: aList,
  documents: aList,
} satisfies Partial<Record<keyof ChatOptions, Rule>>;

export function checkTokenizerFiles(given: TokenizerFiles): void {
  checkOptions('createTokenizer', given, files);
  checkValue('createTokenizer option "name"', given.name, aText);
}

export const checkEncoding = (options: EncodeOptions): void => checkOptions('encode', options, encoding);

export const checkDecoding = (call: string, options: DecodeOptions): void => checkOptions(call, options, decoding);

export function checkStreaming(tokenizer: unknown, options: StreamOptions): void {
  checkValue('StreamDetokenizer: tokenizer', tokenizer, anObjectThat('a tokenizer', 'openDecoder'));
  checkOptions('StreamDetokenizer', options, streaming);
}

export const checkStops = (words: readonly string[]): void => checkValue('stop', words, someStops);

export function checkChatOptions(options: ChatOptions): void {
  const known = Object.keys(chatting);
  const isKnown = ([key]: readonly [string, unknown]): boolean => known.includes(key);
  const given = typeof options === 'object' && options !== null && !Array.isArray(options);
  const own = given ? Object.fromEntries(Object.entries(options).filter(isKnown)) : options;
  checkOptions('applyChatTemplate', own, chatting);
}

export const checkSink = (sink: unknown): void =>
  checkValue('openDecoder: sink', sink, anObjectThat('an object with push and end', 'push', 'end'));
