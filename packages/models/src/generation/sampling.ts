// Sampling: from the logits of one position to a token id. Each option is one filter over the logits, in the order in
// which Hugging Face applies them. Most of a vocabulary cannot be drawn, and is not looked at twice (quick-choice.ts).
// Owns options and the seeded choice. Does not own filters (logits-filters.ts) nor the loop (generate.ts).
import { aNumber, anObject, aWhole, checkOptions, type OptionRules, RelufyError, show } from '@relufy/tensor';
import {
  argmax,
  draw,
  frequencyAndPresence,
  type Logits,
  type LogitsFilter,
  largest,
  logitBias,
  logSumExp,
  minP,
  noRepeatNgram,
  repetitionPenalty,
  softmax,
  temperature,
  topIndices,
  topK,
  topP,
  typicalP,
} from './logits-filters.js';
import { quickChoice } from './quick-choice.js';

export {
  argmax,
  frequencyAndPresence,
  type Logits,
  type LogitsFilter,
  logitBias,
  logSumExp,
  minP,
  noRepeatNgram,
  repetitionPenalty,
  temperature,
  topIndices,
  topK,
  topP,
  typicalP,
} from './logits-filters.js';

export interface SamplingOptions {
  /** 0 is greedy. Default 1. */
  readonly temperature?: number;
  /** Keep the k best. */
  readonly topK?: number;
  /** Keep the smallest set of best tokens whose probability reaches p. */
  readonly topP?: number;
  /** Drop tokens less probable than this share of the best one's probability. */
  readonly minP?: number;
  /** Locally typical sampling (arXiv 2202.00666): keep the mass p of tokens whose surprise is nearest to the entropy. */
  readonly typicalP?: number;
  /** Divides positive and multiplies negative logits of tokens seen in prompt or answer (arXiv 1909.05858). */
  readonly repetitionPenalty?: number;
  /** Subtracted once for each time that the answer has the token. */
  readonly frequencyPenalty?: number;
  /** Subtracted once if the answer has the token. */
  readonly presencePenalty?: number;
  /** No n tokens in a row come twice. */
  readonly noRepeatNgramSize?: number;
  /** Added to the logits of token ids. */
  readonly logitBias?: Readonly<Record<number, number>>;
  /** A safe integer. Same seed, same text, at any thread count. Default: random, and told in the result. */
  readonly seed?: number;
}

/** The largest number that a logit, an f32, can be. */
const largestF32 = 3.4028234663852886e38;

/** What each option has to be. Penalties end where they would outgrow any logit, and f32 with it. */
export function samplingRules(): OptionRules<SamplingOptions> {
  const share = aNumber(0, 1);
  const aboveZero = {
    expected: 'a number above 0 and up to 1',
    fits: (value: unknown) => share.fits(value) && value !== 0,
  };
  return {
    temperature: aNumber(0),
    topK: aWhole(0),
    topP: aboveZero,
    minP: share,
    typicalP: aboveZero,
    repetitionPenalty: aNumber(0.01, 100),
    frequencyPenalty: aNumber(-1000, 1000),
    presencePenalty: aNumber(-1000, 1000),
    noRepeatNgramSize: aWhole(0),
    seed: aWhole(),
    logitBias: anObject,
  };
}

/** Tells the entry that does not fit. */
function checkBias(bias: SamplingOptions['logitBias'], vocabSize: number): void {
  const number = aNumber(-largestF32, largestF32);
  for (const [id, value] of Object.entries(bias ?? {}))
    if (!/^\d+$/.test(id) || Number(id) >= vocabSize || !number.fits(value))
      throw new RelufyError(
        'option',
        `generate option "logitBias": expected token ids below ${vocabSize} with numbers (up to 3.4e38, as f32 holds them), got ${show(id).slice(1, -1)}: ${show(value)}.`,
      );
}

/** Chooses token ids one after the other; the state of the random numbers is its own. */
export interface Sampler {
  readonly seed: number;
  /** `previous` is prompt and answer so far. */
  sample(logits: Float32Array, previous: readonly number[], promptLength: number): number;
}

/** What sets logits to -Infinity before all else, and leaves some (constrained/constraint.ts). */
export interface LogitsMask {
  mask(logits: Logits): void;
}

/**
 * @throws RelufyError `option` for values out of range.
 */
export function createSampler(options: SamplingOptions, vocabSize: number, mask?: LogitsMask): Sampler {
  checkOptions('generate', options, samplingRules());
  checkBias(options.logitBias, vocabSize);
  const { temperature: heat = 1, seed = randomSeed() } = options;
  const penalties: LogitsFilter[] = [];
  const shaping: LogitsFilter[] = [];
  const add = <T>(to: LogitsFilter[], value: T | undefined, neutral: T, make: (value: T) => LogitsFilter) => {
    if (value !== undefined && value !== neutral) to.push(make(value));
  };
  if (options.logitBias && Object.keys(options.logitBias).length > 0) penalties.push(logitBias(options.logitBias));
  add(penalties, options.repetitionPenalty, 1, repetitionPenalty);
  if (options.frequencyPenalty || options.presencePenalty)
    penalties.push(frequencyAndPresence(options.frequencyPenalty ?? 0, options.presencePenalty ?? 0));
  add(penalties, options.noRepeatNgramSize, 0, noRepeatNgram);
  if (heat > 0) {
    add(shaping, heat, 1, temperature);
    add(shaping, options.topK, 0, topK);
    add(shaping, options.topP, 1, topP);
    add(shaping, options.minP, 0, minP);
    add(shaping, options.typicalP, 1, typicalP);
  }
  const { topK: k = 0, topP: mass = 1, minP: share = 0, typicalP: typical = 1 } = options;
  const quick =
    typical === 1 ? quickChoice({ temperature: heat, topK: k, topP: mass, minP: share }, vocabSize) : undefined;
  const random = uniform(seed);
  // one array for all tokens: 8 bytes a logit are garbage that a step of a small model would wait for
  let values: Float64Array<ArrayBuffer> | undefined;
  return {
    seed,
    sample(logits, previous, promptLength) {
      if (heat === 0 && penalties.length === 0 && mask === undefined) return argmax(logits);
      values ??= new Float64Array(vocabSize);
      values.set(logits);
      let top = largest(values);
      if (!Number.isFinite(top)) throw new RelufyError('input', `sample: expected finite logits, got ${top}.`);
      mask?.mask(values);
      const allowed = mask && penalties.length > 0 ? values.slice() : values;
      for (const penalty of penalties) penalty(values, previous, promptLength);
      if (penalties.length > 0 || mask) top = largest(values);
      // a form goes before penalties: where it leaves only what they forbid, its best is taken
      if (mask && top === Number.NEGATIVE_INFINITY) return argmax(allowed);
      if (top === Number.NEGATIVE_INFINITY)
        throw new RelufyError(
          'option',
          `generate option "noRepeatNgramSize": expected a token that may follow at position ${previous.length}, got none of ${vocabSize}. Raise it.`,
        );
      if (heat === 0) return argmax(values);
      const drawn = random();
      const chosen = quick?.(values, top, drawn);
      if (chosen !== undefined) return chosen;
      for (const filter of shaping) filter(values, previous, promptLength);
      return draw(softmax(values, largest(values), values), drawn);
    },
  };
}

export interface TokenLogprob {
  readonly tokenId: number;
  readonly logprob: number;
}

/** log p of a token by the logits of its position, and of the likeliest ones, from the same floats. */
export function tokenLogprobs(
  logits: Logits,
  tokenId: number,
  topCount: number,
): TokenLogprob & { readonly topLogprobs: readonly TokenLogprob[] } {
  const total = logSumExp(logits);
  const logprobOf = (id: number): TokenLogprob => ({ tokenId: id, logprob: (logits[id] as number) - total });
  return { ...logprobOf(tokenId), topLogprobs: topIndices(logits, topCount).map(logprobOf) };
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}

/**
 * sfc32 seeded through splitmix32: uniform in [0, 1), the same everywhere. One number a token is all that is drawn. All
 * 53 bits and the sign of a seed count: what stands above the low 32 goes into every word of the state, and into the
 * counter as it is, so that no two seeds begin in the same state.
 */
function uniform(seed: number): () => number {
  const high = Math.floor(seed / 2 ** 32);
  const low = splitmix(seed >>> 0);
  let [a, b, c, d] = [low(), low(), low(), 1];
  if (high !== 0) {
    const above = splitmix(high);
    [a, b, c, d] = [(a + above()) | 0, (b + above()) | 0, (c + above()) | 0, (d + high) | 0];
  }
  return () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
}

function splitmix(start: number): () => number {
  let mix = start | 0;
  return () => {
    mix = (mix + 0x9e3779b9) | 0;
    let t = mix ^ (mix >>> 16);
    t = Math.imul(t, 0x21f0aaad);
    t ^= t >>> 15;
    t = Math.imul(t, 0x735a2d97);
    return t ^ (t >>> 15);
  };
}
