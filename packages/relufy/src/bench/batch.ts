// Several generations on one model at the same time: tokens a second by the number of streams, and how long a stream waits for
// a token while a long prompt comes in. Owns the timing of streams. Does not own the scheduler (@relufy/models).
import { buildDecoder, type GenerateOptions, type Model } from '@relufy/models';
import { type Backend, type DType, RelufyError } from '@relufy/tensor';
import { llamaShape } from './decode.js';
import { summary, takeTurns } from './measure.js';
import { fillBuffer, fillRandom } from './synthetic.js';

type Generating = Pick<Model, 'generate' | 'spec'>;

export interface StreamsResult {
  readonly streams: number;
  /** Of all streams together. */
  readonly tokensPerSecond: number;
  /** (90th - 10th percentile) / median. */
  readonly spread: number;
  readonly overOne: number;
}

export interface PromptBesideResult {
  readonly streams: number;
  readonly promptTokens: number;
  /** Between two tokens of a stream, in milliseconds: without the prompt, and while it comes in. */
  readonly aloneMs: number;
  readonly besideMs: number;
  readonly besideP99Ms: number;
  /** From asking to the prompt's first token. */
  readonly firstTokenMs: number;
}

const promptTokens = 16;
const streamTokens = 32;

const greedy = (maxNewTokens: number): GenerateOptions => ({ maxNewTokens, temperature: 0, stopTokenIds: [] });

/** Ids that no other prompt begins with. */
function promptOf(vocabSize: number, seed: number, length = promptTokens): number[] {
  return Array.from({ length }, (_, i) => (seed * 7919 + i * (i + 31) * 37) % Math.min(vocabSize, 4000));
}

/** When each token of a stream came. */
async function times({ generate }: { generate: () => ReturnType<Model['generate']> }): Promise<number[]> {
  const found: number[] = [];
  for await (const _ of generate()) found.push(performance.now());
  return found;
}

/** Numbers of streams are interleaved for `seconds`; the same greedy text is asked of one alone and of all together first. */
export async function benchStreams(
  model: Generating,
  counts: readonly number[],
  seconds: number,
): Promise<StreamsResult[]> {
  await checkStreams(model, Math.max(...counts));
  let seed = 100;
  const rates = counts.map((): number[] => []);
  const end = performance.now() + seconds * 1000;
  for (let round = 0; round < 3 || performance.now() < end; round++) {
    const order = [...counts.keys()];
    for (const at of round % 2 === 0 ? order : order.reverse()) {
      const prompts = Array.from({ length: counts[at] as number }, () => promptOf(model.spec.vocabSize, seed++));
      const streams = await Promise.all(
        prompts.map((prompt) => times({ generate: () => model.generate(prompt, greedy(streamTokens)) })),
      );
      // from when all are decoding until the first one ends
      const from = Math.max(...streams.map((stream) => stream[0] as number));
      const to = Math.min(...streams.map((stream) => stream.at(-1) as number));
      const tokens = streams.flat().filter((time) => time > from && time <= to).length;
      rates[at]?.push((1000 * tokens) / (to - from));
    }
  }
  const found = rates.map(summary);
  const one = found[counts.indexOf(1)]?.ms ?? Number.NaN;
  return counts.map((streams, at) => {
    const { ms: tokensPerSecond, spread } = found[at] as (typeof found)[number];
    return { streams, tokensPerSecond, spread, overOne: tokensPerSecond / one };
  });
}

async function checkStreams(model: Generating, most: number): Promise<void> {
  const prompts = Array.from({ length: most }, (_, i) => promptOf(model.spec.vocabSize, i + 1));
  const ask = async (prompt: number[]) => (await model.generate(prompt, greedy(4)).result).tokenIds.join();
  const together = await Promise.all(prompts.map(ask));
  for (const [i, prompt] of prompts.entries())
    if ((await ask(prompt)) !== together[i])
      throw new RelufyError('backend', 'bench batch: an answer differs in company. Nothing was timed.');
}

/** Streams decode, then a prompt of `length` tokens comes in. */
export async function benchPromptBeside(
  model: Generating,
  streams: number,
  length: number,
  aloneMs = 1500,
): Promise<PromptBesideResult> {
  const abort = new AbortController();
  const running = Array.from({ length: streams }, (_, i) =>
    times({
      generate: () =>
        model.generate(promptOf(model.spec.vocabSize, i + 1), {
          ...greedy(100_000),
          signal: abort.signal,
          onAbort: 'return',
        }),
    }),
  );
  const prompt = async (seed: number) => {
    const asked = performance.now();
    await model.generate(promptOf(model.spec.vocabSize, seed, length), greedy(1)).result;
    return [asked, performance.now()] as const;
  };
  // the first one teaches the scheduler what rows cost here; no prompt may begin as one that a slot still holds
  await prompt(1000 * streams);
  const quiet = performance.now();
  await new Promise((resolve) => setTimeout(resolve, aloneMs));
  const [asked, answered] = await prompt(1000 * streams + 500);
  abort.abort();
  const gaps = (from: number, to: number) =>
    found.flatMap((stream) =>
      stream.flatMap((time, i) => (i > 0 && time > from && time <= to ? [time - (stream[i - 1] as number)] : [])),
    );
  const found = await Promise.all(running);
  const beside = gaps(asked, answered).sort((a, b) => a - b);
  if (beside.length === 0)
    throw new RelufyError(
      'option',
      `bench batch: expected answers that go on beside a prompt of ${length} tokens, got some that had ended. Give the model a longer context.`,
    );
  return {
    streams,
    promptTokens: length,
    aloneMs: summary(gaps(quiet, asked)).ms,
    besideMs: summary(beside).ms,
    besideP99Ms: beside[Math.floor(0.99 * (beside.length - 1))] as number,
    firstTokenMs: answered - asked,
  };
}

/** One row each of several sequences at position 128, of TinyLlama's shape with random weights: steps alone, without a tokenizer. */
export async function benchRows(
  backend: Backend,
  dtype: DType,
  counts: readonly number[],
  seconds: number,
): Promise<StreamsResult[]> {
  const most = Math.max(...counts);
  const spec = llamaShape(dtype, 5e8);
  const limits = { maxRows: most, maxOutputs: most };
  const decoder = buildDecoder(spec, { limits, slots: most, contextLength: 256, matrixDType: () => dtype });
  const session = await backend.createSession(decoder.buffers, limits);
  try {
    for (const [seed, decl] of decoder.buffers.entries())
      if (decl.kind === 'weight' || decl.kind === 'constant')
        await fillBuffer(session, decl, limits, (view) => fillRandom(view, decl, seed + 1));
    const loaded = session.load(decoder.build({ sparsity: 'dense' }).program);
    const step = async (rows: number) => {
      const numbers = Int32Array.from({ length: rows }, (_, row) => row);
      const tokens = numbers.map((row) => (row * 7919) % spec.vocabSize);
      const inputs = { tokens, positions: numbers.map(() => 128), slots: numbers, outputRows: numbers };
      for (const [name, values] of Object.entries(inputs)) await session.write(name, values);
      await loaded.run({ rows, outputs: rows });
    };
    const found = await takeTurns(Object.fromEntries(counts.map((rows) => [`${rows}`, () => step(rows)])), { seconds });
    const rate = (rows: number) => (1000 * rows) / (found[`${rows}`]?.ms ?? Number.NaN);
    return counts.map((rows) => ({
      streams: rows,
      tokensPerSecond: rate(rows),
      spread: found[`${rows}`]?.spread ?? Number.NaN,
      overOne: rate(rows) / rate(1),
    }));
  } finally {
    await session.dispose();
  }
}
