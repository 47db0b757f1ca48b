// Against what the Hugging Face implementations computed: real tokenizers and templates beside the checkout.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import type { ChatMessage } from './messages.js';
import { StreamDetokenizer } from './stream.js';
import { createTokenizer, type DecodeOptions, type Tokenizer } from './tokenizer.js';

interface GoldenText {
  text: string;
  ids: number[];
  ids_plain: number[];
  decoded: string;
}
interface GoldenChat {
  template: string;
  messages: ChatMessage[];
  add_generation_prompt: boolean;
  bos_token: string;
  eos_token: string;
  rendered: string;
}

const readJson = <T>(path: string): T => JSON.parse(readFileSync(shared(path), 'utf8')) as T;
const readText = (path: string): string | undefined =>
  existsSync(shared(path)) ? readFileSync(shared(path), 'utf8') : undefined;

function load(name: string): Tokenizer {
  const folder = name === 'tales' ? 'models/llama-tales' : `tokenizers/${name}`;
  return createTokenizer({
    name,
    tokenizerJson: readText(`${folder}/tokenizer.json`),
    tokenizerConfig: readText(`${folder}/tokenizer_config.json`),
    chatTemplateJinja: readText(`${folder}/chat_template.jinja`),
  });
}

function streamed(tokenizer: Tokenizer, ids: readonly number[], options: DecodeOptions): string {
  const stream = new StreamDetokenizer(tokenizer, options);
  return ids.map((id) => stream.push(id)).join('') + stream.flush();
}

const hard = [
  '\ufeff bom \u0085 next line',
  '²³½ ٣٤ Ⅷ',
  'e\u0301'.repeat(20),
  '👨‍👩‍👧‍👦🏳️‍🌈'.repeat(10),
  '   \t\n\r\n  x ',
  'a'.repeat(3000),
  '\ud83d lone \ude00',
  '\u202eעברית\u202c عربى',
  '<s></s><unk><|im_end|><|eot_id|>',
  "a , b . c ! d n’t 's",
];

describeShared('real tokenizers', 'golden/tokenizers.json', () => {
  const golden = readJson<Record<string, GoldenText[]>>('golden/tokenizers.json');
  for (const name of Object.keys(golden)) {
    describe(name, () => {
      const tokenizer = load(name);

      it('gives the same ids and the same text', () => {
        for (const { text, ids, ids_plain, decoded } of golden[name]!) {
          expect(tokenizer.encode(text), text).toEqual(ids);
          expect(tokenizer.encode(text, { addSpecialTokens: false }), text).toEqual(ids_plain);
          expect(tokenizer.decode(ids_plain, { skipSpecialTokens: true }), text).toBe(decoded);
        }
      });

      it('streams what it decodes', () => {
        const texts = [...golden[name]!.map(({ text }) => text), ...hard];
        for (const options of [{}, { skipSpecialTokens: true }, { cleanUpTokenizationSpaces: true }]) {
          for (const text of texts) {
            const ids = tokenizer.encode(text);
            expect(streamed(tokenizer, ids, options), text).toBe(tokenizer.decode(ids, options));
          }
        }
      });

      it('decodes hard texts back', () => {
        for (const text of hard) {
          const ids = tokenizer.encode(text, { addSpecialTokens: false });
          const decoded = tokenizer.decode(ids);
          // A section after a special token gets a space of its own in tokenizers that prepend one.
          if (!text.includes('<s>')) expect(decoded).toBe(text.replaceAll(/\p{Surrogate}/gu, '\ufffd'));
        }
      });
    });
  }
});

describeShared('GPT-2 from vocab.json, merges.txt and added_tokens.json', 'tokenizers/gpt2', () => {
  it('knows tokens that were added to it', () => {
    const tokenizer = createTokenizer({
      name: 'gpt2',
      vocabJson: readText('tokenizers/gpt2/vocab.json'),
      mergesTxt: readText('tokenizers/gpt2/merges.txt'),
      addedTokensJson: JSON.stringify({ '<|user|>': 50257, '<|assistant|>': 50258 }),
    });
    expect(tokenizer.encode('<|user|>Hi<|assistant|>')).toEqual([50257, 17250, 50258]);
    expect(tokenizer.decode([50257, 17250, 50258])).toBe('<|user|>Hi<|assistant|>');
  });
});

describeShared('OPT from vocab.json and merges.txt', 'tokenizers/opt_metaseq', () => {
  const role = (content: string) => ({ content, normalized: true, __type: 'AddedToken' });
  const opt = createTokenizer({
    name: 'opt',
    vocabJson: readText('tokenizers/opt_metaseq/gpt2-vocab.json'),
    mergesTxt: readText('tokenizers/opt_metaseq/gpt2-merges.txt'),
    tokenizerConfig: JSON.stringify({
      tokenizer_class: 'GPT2Tokenizer',
      add_bos_token: true,
      bos_token: role('</s>'),
      eos_token: role('</s>'),
      unk_token: role('</s>'),
      pad_token: role('<pad>'),
    }),
  });

  it('begins with </s> and knows its special tokens', () => {
    expect(opt.encode('Hello')).toEqual([2, 31414]);
    expect(opt.encode('Hello', { addSpecialTokens: false })).toEqual([31414]);
    expect(opt.encode('a</s>b', { addSpecialTokens: false })).toContain(2);
    expect([opt.bosId, opt.eosId, opt.padId, opt.vocabSize]).toEqual([2, 2, 1, 50265]);
  });

  it('splits as GPT-2 does, whose merges it has', () => {
    const gpt2 = load('gpt2');
    for (const text of ['Hello world', "I'm sure they'll've 3,141.59!", '日本語 😀', '  \r\n x']) {
      const tokens = gpt2.encode(text).map((id) => gpt2.idToToken(id));
      expect(opt.encode(text, { addSpecialTokens: false }).map((id) => opt.idToToken(id))).toEqual(tokens);
    }
  });
});

describeShared('real chat templates', 'golden/chat-templates.json', () => {
  const golden = readJson<{ templates: Record<string, string>; cases: GoldenChat[] }>('golden/chat-templates.json');
  const tokenizer = load('tales');

  it('renders as jinja2 does', () => {
    for (const { template, messages, add_generation_prompt, bos_token, eos_token, rendered } of golden.cases) {
      const text = tokenizer.applyChatTemplate(messages, {
        template: golden.templates[template],
        addGenerationPrompt: add_generation_prompt,
        bos_token,
        eos_token,
      });
      expect(text).toBe(rendered);
    }
  });
});
