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

describe('vocab.json and merges.txt', () => {
  const own = (path: string) => readFileSync(new URL(`../../../tools/goldens/${path}`, import.meta.url), 'utf8');
  const { model } = JSON.parse(own('tokenizers/byte-level/tokenizer.json')) as {
    model: { vocab: Record<string, number>; merges: string[][] };
  };
  const golden = (JSON.parse(own('golden/tokenizers.json')) as Record<string, GoldenText[]>)['byte-level'] ?? [];
  const mergesTxt = ['#version: 0.2', ...model.merges.map((pair) => pair.join(' ')), ''].join('\n');
  /** Without texts in which the golden tokenizer's own special token stands. */
  const texts = golden.filter(({ text }) => !text.includes('<|end|>'));

  it('of GPT-2 give the ids of its tokenizer.json, and know tokens that were added', () => {
    const added = Object.keys(model.vocab).length;
    const gpt2 = createTokenizer({
      name: 'gpt2',
      vocabJson: JSON.stringify(model.vocab),
      mergesTxt,
      addedTokensJson: JSON.stringify({ '<|user|>': added, '<|assistant|>': added + 1 }),
    });
    expect(texts.length).toBeGreaterThan(5);
    for (const { text, ids_plain } of texts) expect(gpt2.encode(text), text).toEqual(ids_plain);
    const turn = [added, ...gpt2.encode('Hi'), added + 1];
    expect(gpt2.encode('<|user|>Hi<|assistant|>')).toEqual(turn);
    expect(gpt2.decode(turn)).toBe('<|user|>Hi<|assistant|>');
  });

  it("of OPT begin with </s>, and split as GPT-2's do", () => {
    // OPT puts four special tokens before the vocabulary of GPT-2
    const special = { '<s>': 0, '<pad>': 1, '</s>': 2, '<unk>': 3 };
    const shifted = Object.entries(model.vocab).map(([token, id]) => [token, id + 4]);
    const role = (content: string) => ({ content, normalized: true, __type: 'AddedToken' });
    const opt = createTokenizer({
      name: 'opt',
      vocabJson: JSON.stringify({ ...special, ...Object.fromEntries(shifted) }),
      mergesTxt,
      tokenizerConfig: JSON.stringify({
        tokenizer_class: 'GPT2Tokenizer',
        add_bos_token: true,
        bos_token: role('</s>'),
        eos_token: role('</s>'),
        unk_token: role('</s>'),
        pad_token: role('<pad>'),
      }),
    });
    for (const { text, ids_plain } of texts.filter(({ text: each }) => !/<(s|pad|\/s|unk)>/.test(each))) {
      const ids = ids_plain.map((id) => id + 4);
      expect(opt.encode(text), text).toEqual([2, ...ids]);
      expect(opt.encode(text, { addSpecialTokens: false }), text).toEqual(ids);
    }
    expect(opt.encode('a</s>b', { addSpecialTokens: false })).toContain(2);
    expect([opt.bosId, opt.eosId, opt.padId, opt.vocabSize]).toEqual([2, 2, 1, shifted.length + 4]);
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
