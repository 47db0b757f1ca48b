import type { ModelFiles } from '@relufy/checkpoint';
import { describe, expect, it } from 'vitest';
import { loadModel } from '../node.js';
import { byteLevel, tinyConfig, tinyFolder, tinyTokenizerConfig, toGguf } from '../testing/tiny-folder.js';
import { turnEnds } from './turn-ends.js';

/** The ids of special and of other tokens, from 0 and from 100. */
function vocabulary(special: readonly string[], others: readonly string[] = []) {
  const ids = new Map([...special.map((t, i) => [t, i] as const), ...others.map((t, i) => [t, 100 + i] as const)]);
  return { tokenToId: (token: string) => ids.get(token), specialIds: new Set(special.keys()) };
}

const eight = [
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<|end_of_text|>',
  '<|endoftext|>',
  '<end_of_turn>',
  '<|return|>',
];

describe('names', () => {
  it('end a turn, alone and together', () => {
    for (const name of [...eight, '<EOT>', '<end_of_utterance>'])
      expect(turnEnds(vocabulary(['<s>', name])), name).toEqual([1]);
    expect(turnEnds(vocabulary(eight))).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  it('end nothing where they are no special tokens, or other words', () => {
    expect(turnEnds(vocabulary([], eight))).toEqual([]);
    expect(turnEnds(vocabulary(['<|im_start|>', '<|eot_id|> ', 'end', '</s>', '<eos>']))).toEqual([]);
  });

  it('of gpt-oss: the end of its reasoning ends no answer', () => {
    expect(turnEnds(vocabulary(['<|end|>', '<|return|>', '<|call|>']))).toEqual([1, 2]);
    expect(turnEnds(vocabulary(['<|end|>', '<|flush|>', '<|calls|>']))).toEqual([1, 2]);
    expect(turnEnds(vocabulary(['<|end|>', '<|return|>']))).toEqual([0, 1]);
  });
});

/** A tokenizer with more special tokens, from id 10 on. */
const withTokens = (tokens: readonly string[], special = true) => ({
  ...byteLevel,
  added_tokens: [
    ...byteLevel.added_tokens,
    ...tokens.map((content, i) => ({ id: 10 + i, content, special, normalized: false })),
  ],
});

async function folder(tokens: readonly string[], eos: string, special?: boolean): Promise<ModelFiles> {
  return tinyFolder({
    'tokenizer.json': withTokens(tokens, special),
    'tokenizer_config.json': { ...tinyTokenizerConfig, eos_token: eos },
  });
}

/** What a generation is whose second token is `id`. */
async function answerWith(files: ModelFiles, id: number) {
  await using model = await loadModel(files, { backend: 'reference' });
  const biased = { temperature: 0, maxNewTokens: 3, logitBias: { [id]: 1e6 } };
  const { finishReason, tokenIds, text } = await model.generate([0, 1], biased).result;
  const everything = await model.generate([0, 1], { ...biased, stopTokenIds: [] }).result;
  return { ends: model.eosTokenIds, finishReason, tokenIds, text, otherwise: everything.tokenIds.length };
}

describe('a model whose template ends turns otherwise than its eos', () => {
  const pairs: [eos: string, turn: string][] = [
    ['<|end_of_text|>', '<|eot_id|>'],
    ['<|eot_id|>', '<|end_of_text|>'],
    ['<|end_of_text|>', '<|eom_id|>'],
    ['</s>', '<|im_end|>'],
    ['<|endoftext|>', '<|end|>'],
    ['<|endoftext|>', '<|im_end|>'],
    ['</s>', '<end_of_turn>'],
    ['<|endoftext|>', '<|return|>'],
  ];
  it.each(pairs)('eos %s, turns end with %s: both stop, from a folder and from a GGUF', async (eos, turn) => {
    const tokens = [eos, turn].filter((token) => token !== '</s>');
    const files = await folder(tokens, eos);
    const id = 10 + tokens.indexOf(turn);
    for (const one of [files, await toGguf(files)]) {
      const answer = await answerWith(one, id);
      expect(answer).toMatchObject({ finishReason: 'stop', tokenIds: [id], text: '', otherwise: 3 });
      expect(answer.ends).toEqual([tokens.includes(eos) ? 10 : 9, id]);
    }
  });

  it('a token of that text that is none of the special ones is text', async () => {
    const files = await folder(['<|end|>'], '</s>', false);
    for (const one of [files, await toGguf(files)])
      expect(await answerWith(one, 10)).toMatchObject({ ends: [9], finishReason: 'length', text: '<|end|>'.repeat(3) });
  });

  it('what generation_config.json says comes first', async () => {
    const files = await tinyFolder({
      'tokenizer.json': withTokens(['<|im_end|>']),
      'generation_config.json': { eos_token_id: [12, 10] },
    });
    await using model = await loadModel(files, { backend: 'reference' });
    expect(model.eosTokenIds).toEqual([12, 10]);
  });

  it('a base model that begins texts with <|endoftext|> stops where the next would begin', async () => {
    const files = await tinyFolder({
      'tokenizer.json': withTokens(['<|endoftext|>']),
      'tokenizer_config.json': { bos_token: '<|endoftext|>', eos_token: '</s>', add_bos_token: true },
    });
    await using model = await loadModel(files, { backend: 'reference' });
    expect(model.eosTokenIds).toEqual([9, 10]);
    expect(model.tokenizer?.encode('ab')).toEqual([10, 4]); // and a prompt that begins with it ends nothing
    const { finishReason } = await model.generate('ab', { maxNewTokens: 2, logitBias: { 0: 1e6 } }).result;
    expect(finishReason).toBe('length');
  });

  it('a tokenizer with more tokens than the model has rows ends nothing there', async () => {
    const files = await tinyFolder({
      'config.json': { ...tinyConfig, eos_token_id: 9 },
      'tokenizer.json': {
        ...byteLevel,
        added_tokens: [...byteLevel.added_tokens, { id: 40, content: '<|im_end|>', special: true }],
      },
    });
    await using model = await loadModel(files, { backend: 'reference' });
    expect(model.eosTokenIds).toEqual([9]);
  });

  it('a model without any tokenizer stops as its config says', async () => {
    const files = await tinyFolder({ 'config.json': { ...tinyConfig, eos_token_id: 3 }, 'tokenizer.json': null });
    await using model = await loadModel(files, { backend: 'reference' });
    expect(model.eosTokenIds).toEqual([3]);
  });
});
