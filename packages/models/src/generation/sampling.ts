// Sampling: from the logits of one position to a token id. Each option is one filter over the logits, in the order in
// which Hugging Face applies them; the filters are exported because their numbers are checked one by one. They work in f64,
// which no combination of what is allowed leaves: a bias of 3e38 through a penalty of 0.01 is a large number like others.
// Owns filters and the seeded choice. Does not own the loop (generate.ts).
import { aNumber, anObject, aWhole, checkOptions, type OptionRules, RelufyError, show } from '@relufy/tensor';

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

export type Logits = Float32Array | Float64Array;

/** Changes logits in place, given the token ids of prompt and answer so far. */
export type LogitsFilter = (logits: Logits, previous: readonly number[], promptLength: number) => void;

export function temperature(value: number): LogitsFilter {
  // divided by next to nothing, a logit would leave f64 too: what counts is its distance from the best one
  if (value < 1e-4)
    return (logits) => {
      const top = largest(logits);
      for (let i = 0; i < logits.length; i++) logits[i] = ((logits[i] as number) - top) / value;
    };
  return (logits) => {
    for (let i = 0; i < logits.length; i++) logits[i] = (logits[i] as number) / value;
  };
}

export function topK(k: number): LogitsFilter {
  return (logits) => {
    if (k >= logits.length) return;
    const bar = logits[topIndices(logits, k)[k - 1] as number] as number;
    keep(logits, (logit) => logit >= bar);
  };
}

export function topP(p: number): LogitsFilter {
  let probabilities: Float64Array | undefined;
  return (logits) => {
    probabilities = softmax(logits, largest(logits), probabilities);
    keepMass(logits, logits, probabilities, p);
  };
}

export function minP(share: number): LogitsFilter {
  return (logits) => {
    const bar = largest(logits) + Math.log(share);
    keep(logits, (logit) => logit >= bar);
  };
}

export function typicalP(mass: number): LogitsFilter {
  return (logits) => {
    const probabilities = softmax(logits);
    let entropy = 0;
    for (const p of probabilities) if (p > 0) entropy -= p * Math.log(p);
    const nearness = probabilities.map((p) => (p > 0 ? -Math.abs(-Math.log(p) - entropy) : -Number.MAX_VALUE));
    keepMass(logits, nearness, probabilities, mass);
  };
}

export function repetitionPenalty(penalty: number): LogitsFilter {
  return (logits, previous) => {
    for (const id of new Set(previous)) {
      const logit = logits[id] as number;
      logits[id] = logit < 0 ? logit * penalty : logit / penalty;
    }
  };
}

export function frequencyAndPresence(frequency: number, presence: number): LogitsFilter {
  return (logits, previous, promptLength) => {
    const counts = new Map<number, number>();
    for (const id of previous.slice(promptLength)) counts.set(id, (counts.get(id) ?? 0) + 1);
    for (const [id, count] of counts) logits[id] = (logits[id] as number) - count * frequency - presence;
  };
}

export function noRepeatNgram(size: number): LogitsFilter {
  return (logits, previous) => {
    const start = previous.length - (size - 1);
    if (start < 0) return;
    for (let i = 0; i + size <= previous.length; i++) {
      let same = true;
      for (let j = 0; j < size - 1 && same; j++) same = previous[i + j] === previous[start + j];
      if (same) logits[previous[i + size - 1] as number] = Number.NEGATIVE_INFINITY;
    }
  };
}

export function logitBias(bias: Readonly<Record<number, number>>): LogitsFilter {
  const entries = Object.entries(bias).map(([id, value]) => [Number(id), value] as const);
  return (logits) => {
    for (const [id, value] of entries) logits[id] = (logits[id] as number) + value;
  };
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
  const filters: LogitsFilter[] = [];
  const add = <T>(value: T | undefined, neutral: T, make: (value: T) => LogitsFilter) => {
    if (value !== undefined && value !== neutral) filters.push(make(value));
  };
  if (options.logitBias && Object.keys(options.logitBias).length > 0) filters.push(logitBias(options.logitBias));
  add(options.repetitionPenalty, 1, repetitionPenalty);
  if (options.frequencyPenalty || options.presencePenalty)
    filters.push(frequencyAndPresence(options.frequencyPenalty ?? 0, options.presencePenalty ?? 0));
  add(options.noRepeatNgramSize, 0, noRepeatNgram);
  if (heat > 0) {
    add(heat, 1, temperature);
    add(options.topK, 0, topK);
    add(options.topP, 1, topP);
    add(options.minP, 0, minP);
    add(options.typicalP, 1, typicalP);
  }
  const random = uniform(seed);
  // one array for all tokens: 8 bytes a logit are garbage that a step of a small model would wait for
  let values: Float64Array<ArrayBuffer> | undefined;
  return {
    seed,
    sample(logits, previous, promptLength) {
      if (heat === 0 && filters.length === 0 && mask === undefined) return argmax(logits);
      values ??= new Float64Array(vocabSize);
      values.set(logits);
      let top = largest(values);
      if (!Number.isFinite(top)) throw new RelufyError('input', `sample: expected finite logits, got ${top}.`);
      mask?.mask(values);
      const allowed = mask && filters.length > 0 ? values.slice() : values;
      for (const filter of filters) filter(values, previous, promptLength);
      if (filters.length > 0 || mask) top = largest(values);
      // a form goes before penalties: where it leaves only what they forbid, its best is taken
      if (mask && top === Number.NEGATIVE_INFINITY) return argmax(allowed);
      if (top === Number.NEGATIVE_INFINITY)
        throw new RelufyError(
          'option',
          `generate option "noRepeatNgramSize": expected a token that may follow at position ${previous.length}, got none of ${vocabSize}. Raise it.`,
        );
      return heat === 0 ? argmax(values) : draw(softmax(values, top, values), random());
    },
  };
}

/** The first index of the largest value. */
export function argmax(values: Logits): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

/** log(sum(exp(logits))), computed in f64. */
export function logSumExp(logits: Logits): number {
  const top = largest(logits);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - top);
  return top + Math.log(sum);
}

/** The indices of the n largest, best first; equal ones in order of index. */
export function topIndices(logits: Logits, n: number): number[] {
  return n === 0 ? [] : [...leading(logits, n, () => 1).subarray(0, n)];
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

function draw(probabilities: Float64Array, random: number): number {
  let rest = random;
  let last = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i] as number;
    if (p === 0) continue;
    last = i;
    rest -= p;
    if (rest < 0) return i;
  }
  return last; // rounding left a crumb
}

/** Further below the best one, a token's share is 4e-18 of its: a random number of 32 bits never draws it. */
const negligible = -40;

/** Fills `out`, which may be `logits`, if it is as long. */
function softmax(logits: Logits, top = largest(logits), out?: Float64Array): Float64Array {
  const shares = out?.length === logits.length ? out : new Float64Array(logits.length);
  let sum = 0;
  for (let i = 0; i < shares.length; i++) {
    const distance = (logits[i] as number) - top;
    const share = distance < negligible ? 0 : Math.exp(distance);
    shares[i] = share;
    sum += share;
  }
  for (let i = 0; i < shares.length; i++) shares[i] = (shares[i] as number) / sum;
  return shares;
}

/** NaN where there is one. */
function largest(values: Logits): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (value <= top) continue;
    if (Number.isNaN(value)) return value;
    top = value;
  }
  return top;
}

/** Leaves the tokens of the largest `values` whose probabilities together reach `mass`: the one that crosses it is kept. */
function keepMass(logits: Logits, values: Logits, probabilities: Float64Array, mass: number): void {
  const probabilityOf = (id: number) => probabilities[id] as number;
  // a little more: added in another order, the same numbers may miss it by their rounding
  const order = leading(values, mass + 1e-9, probabilityOf);
  let kept = 0;
  for (let sum = 0; kept < order.length && sum < mass; kept++) sum += probabilityOf(order[kept] as number);
  const own = Array.from(order.subarray(0, kept), (id) => logits[id] as number);
  logits.fill(Number.NEGATIVE_INFINITY);
  for (const [i, logit] of own.entries()) logits[order[i] as number] = logit;
}

const buckets = 64;
const bucketsPerNat = 2;

/**
 * The indices of the largest values, in falling order, equal ones in order of index: at least those whose weights together
 * reach `weight`. To sort all of a vocabulary takes longer than a step of a small model, so values are counted by their
 * distance from the largest first, and no more are sorted than are needed.
 */
function leading(values: Logits, weight: number, weightOf: (index: number) => number): Uint32Array {
  const top = largest(values);
  const bucketOf = (value: number) => Math.min(buckets - 1, bucketsPerNat * (top - value));
  const weights = new Float64Array(buckets);
  const counts = new Uint32Array(buckets);
  for (let i = 0; i < values.length; i++) {
    const bucket = Math.floor(bucketOf(values[i] as number));
    weights[bucket] = (weights[bucket] as number) + weightOf(i);
    counts[bucket] = (counts[bucket] as number) + 1;
  }
  let count = 0;
  let end = 0;
  for (let sum = 0; end < buckets && sum < weight; end++) {
    sum += weights[end] as number;
    count += counts[end] as number;
  }
  const indices = new Uint32Array(count);
  for (let i = 0, n = 0; n < count; i++) if (bucketOf(values[i] as number) < end) indices[n++] = i;
  return indices.sort((a, b) => (values[b] as number) - (values[a] as number) || a - b);
}

function keep(logits: Logits, wanted: (logit: number) => boolean): void {
  for (let i = 0; i < logits.length; i++) if (!wanted(logits[i] as number)) logits[i] = Number.NEGATIVE_INFINITY;
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
