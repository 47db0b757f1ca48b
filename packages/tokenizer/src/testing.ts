// Tokenizers for the tests: the bundled model's, and small ones made on the spot. Not part of the package.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TokenizerFiles } from './definition.js';
import { createTokenizer, type Tokenizer } from './tokenizer.js';

const bundledFile = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../llama-tales/model/${name}`, import.meta.url)), 'utf8');

export const bundledJson = bundledFile('tokenizer.json');
export const bundledConfig = bundledFile('tokenizer_config.json');

export const bundled = (): Tokenizer =>
  createTokenizer({ name: 'bundled', tokenizerJson: bundledJson, tokenizerConfig: bundledConfig });

/** A tokenizer with the bundled vocabulary and other parts replaced. */
export function altered(parts: object, files: Partial<TokenizerFiles> = {}): Tokenizer {
  const tokenizerJson = JSON.stringify({ ...(JSON.parse(bundledJson) as object), ...parts });
  return createTokenizer({ name: 'altered', tokenizerJson, ...files });
}

/** Llama 2's layout in small: `▁` for spaces, byte fallback, one leading space stripped by the decoder. */
export function sentencePieceJson(parts: object = {}): string {
  const tokens = ['<unk>', '<s>', '</s>'];
  for (let byte = 0; byte < 256; byte++) tokens.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
  tokens.push(...'▁abcdehilnorstw.,!'.split(''), 'he', 'll', '▁t', '▁▁', 'hell', '▁the', 'hello', '日');
  return JSON.stringify({
    added_tokens: ['<unk>', '<s>', '</s>'].map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 },
      ],
    },
    model: {
      type: 'BPE',
      unk_token: '<unk>',
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: ['h e', 'l l', '▁ t', '▁ ▁', 'he ll', '▁t he', ['hell', 'o']].map((m) =>
        typeof m === 'string' ? m.split(' ') : m,
      ),
    },
    ...parts,
  });
}

export const sentencePiece = (parts: object = {}): Tokenizer =>
  createTokenizer({ name: 'pieces', tokenizerJson: sentencePieceJson(parts) });

/** What `run` throws, or undefined. */
export function caught(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
