// Tokenizers that come as vocab.json and merges.txt (GPT-2, OPT) without a tokenizer.json: the equivalent
// tokenizer.json, made in memory the way transformers' GPT2Tokenizer makes it.
// Which special tokens there are, and whether a BOS goes first, is decided in special-tokens.ts.
import { type JsonObject, malformed, parseObject } from './json.js';

/** `name` is for error messages; both texts are the content of the files. */
export function gpt2Definition(name: string, vocabJson: string, mergesTxt: string, prefixSpace: boolean): JsonObject {
  const vocab = parseObject(vocabJson, { name, file: 'vocab.json' });
  if (typeof mergesTxt !== 'string') {
    throw malformed(
      { name, file: 'merges.txt' },
      `must be given as text, got ${typeof mergesTxt}`,
      'Pass its content.',
    );
  }
  const lines = mergesTxt.split(/\r?\n/);
  // Only the first line can be the version comment: "#" is also a token, so a merge may begin with it.
  if (lines[0]?.startsWith('#version')) lines.shift();
  return {
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: prefixSpace, use_regex: true },
    post_processor: { type: 'ByteLevel' },
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab, merges: lines.filter((line) => line.trim() !== '') },
  };
}
