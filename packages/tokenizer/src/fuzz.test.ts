// Thousands of damaged tokenizers and chat templates: each gives an answer or one short RelufyError, soon.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { damagedJson, damagedTemplate, rounds, survives } from '../testing/fuzz.js';
import type { ChatMessage } from './messages.js';
import { bundled, sentencePieceJson } from './testing.js';
import { createTokenizer } from './tokenizer.js';

const fixture = (name: string): string => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8');

const texts = ['Hello, the world!  1234\n日本 😀', 'a'.repeat(2000), ' he ll '.repeat(300), '<s>[UNK]</s>\u0000\ud800'];
const byteLevel = JSON.stringify({
  added_tokens: [{ id: 9, content: '<|x|>', special: true, normalized: false, lstrip: true }],
  normalizer: {
    type: 'Sequence',
    normalizers: [{ type: 'NFC' }, { type: 'Lowercase' }, { type: 'Strip', strip_left: true, strip_right: true }],
  },
  pre_tokenizer: {
    type: 'Sequence',
    pretokenizers: [
      {
        type: 'Split',
        pattern: { Regex: "'s|\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)|\\s+" },
        behavior: 'Isolated',
        invert: false,
      },
      { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
    ],
  },
  post_processor: { type: 'ByteLevel', trim_offsets: true },
  decoder: { type: 'ByteLevel' },
  model: {
    type: 'BPE',
    vocab: { a: 0, b: 1, h: 2, e: 3, l: 4, he: 5, ll: 6, hell: 7, Ġ: 8 },
    merges: [
      ['h', 'e'],
      ['l', 'l'],
      ['he', 'll'],
    ],
  },
});
const pieces = JSON.parse(fixture('pieces.json')) as Record<'wp' | 'ug', { json: object }>;

it(
  'a mutated tokenizer.json encodes and decodes, or gives one error',
  () => {
    const originals = [
      sentencePieceJson(),
      byteLevel,
      ...[pieces.wp, pieces.ug].map(({ json }) => JSON.stringify(json)),
    ];
    const count = rounds(800);
    let answered = 0;
    for (let seed = 0; seed < count; seed++) {
      const tokenizerJson = damagedJson(originals[seed % originals.length]!, seed);
      const done = survives(seed, () => {
        const tokenizer = createTokenizer({ name: 'damaged', tokenizerJson });
        for (const text of texts) tokenizer.decode(tokenizer.encode(text), { skipSpecialTokens: seed % 2 === 0 });
      });
      if (done) answered++;
    }
    expect(answered).toBeGreaterThan(count / 20);
    expect(answered).toBeLessThan(count);
  },
  60_000 + rounds(800) * 20,
);

it(
  'a mutated chat template renders, or gives one error',
  () => {
    const names = readdirSync(new URL('../fixtures/chat-templates', import.meta.url)).filter((name) =>
      name.endsWith('.jinja'),
    );
    const templates = names.map((name) => fixture(`chat-templates/${name}`));
    const { chats } = JSON.parse(fixture('chats.json')) as {
      chats: Record<string, { messages: readonly ChatMessage[]; tools: readonly unknown[] | null }>;
    };
    const tokenizer = bundled();
    const all = Object.values(chats);
    const count = rounds(500);
    let answered = 0;
    for (let seed = 0; seed < count; seed++) {
      const template = damagedTemplate(templates[seed % templates.length]!, seed);
      const { messages, tools } = all[seed % all.length]!;
      const options = { template, tools: tools ?? undefined, addGenerationPrompt: true };
      if (survives(seed, () => tokenizer.applyChatTemplate(messages, options))) answered++;
    }
    expect(answered).toBeGreaterThan(count / 20);
    expect(answered).toBeLessThan(count);
  },
  60_000 + rounds(500) * 20,
);
