// The fields of a request that say how tokens are chosen and when an answer ends, as OpenAI, llama-server and vLLM call
// them, turned into options of `generate`. One table for every route that has them. Does not own what an option does.
import type { GenerateOptions, Model } from '@relufy/models';
import {
  aBoolean,
  aNumber,
  anObject,
  anything,
  aText,
  aWhole,
  either,
  listOf,
  oneOf,
  type Rule,
  show,
} from '@relufy/tensor';
import { badField } from './api-error.js';
import { Body } from './body.js';

type Options = { -readonly [Key in keyof GenerateOptions]: GenerateOptions[Key] };

interface NumberField {
  readonly option: keyof GenerateOptions;
  readonly names: readonly string[];
  readonly rule: Rule;
  /** From what clients say to what `generate` takes. */
  readonly read?: (value: number) => number | undefined;
}

/** Too small to let a second token in. */
const onlyTheBest = 1e-12;

const numberFields: readonly NumberField[] = [
  { option: 'temperature', names: ['temperature'], rule: aNumber(0, 1000) },
  // 0 means "only the best" to clients
  { option: 'topP', names: ['top_p'], rule: aNumber(0, 1), read: (p) => Math.max(p, onlyTheBest) },
  { option: 'topK', names: ['top_k'], rule: aWhole(-1), read: (k) => Math.max(k, 0) },
  { option: 'minP', names: ['min_p'], rule: aNumber(0, 1) },
  { option: 'typicalP', names: ['typical_p'], rule: aNumber(0, 1), read: (p) => (p === 0 ? undefined : p) },
  { option: 'repetitionPenalty', names: ['repetition_penalty', 'repeat_penalty'], rule: aNumber(0.01, 100) },
  { option: 'frequencyPenalty', names: ['frequency_penalty'], rule: aNumber(-1000, 1000) },
  { option: 'presencePenalty', names: ['presence_penalty'], rule: aNumber(-1000, 1000) },
  { option: 'noRepeatNgramSize', names: ['no_repeat_ngram_size'], rule: aWhole(0) },
  // -1 is how llama-server's clients ask for a random one
  { option: 'seed', names: ['seed'], rule: aWhole(), read: (seed) => (seed === -1 ? undefined : seed) },
];

/** -1: as many as fit; so says -2 to Ollama. */
const tokenCount = either('a whole number >= 0, or -1', aWhole(-2));
const stopRule = either(
  'a text, or up to 64 of them, none empty',
  { expected: '', fits: (value) => aText.fits(value) && value !== '' },
  {
    expected: '',
    fits: (value) =>
      listOf({ expected: '', fits: (text) => aText.fits(text) && text !== '' }, '').fits(value) &&
      (value as readonly unknown[]).length <= 64,
  },
);

export interface SamplingNames {
  /** What an answer's length is called, the most telling first. */
  readonly maxTokens: readonly string[];
}

/**
 * Reads every field of the table. Nothing is in the result that the request does not say.
 * @throws ApiError 400 that names the field.
 */
export function samplingFields(body: Body, model: Model, { maxTokens }: SamplingNames): Options {
  const options: Record<string, unknown> = {};
  for (const { option, names, rule, read = (value: number) => value } of numberFields) {
    const given = body.first<number>(names, rule);
    const value = given === undefined ? undefined : read(given);
    if (value !== undefined) options[option] = value;
  }
  const most = body.first<number>(maxTokens, tokenCount);
  if (most !== undefined && most >= 0) options.maxNewTokens = most;
  const stop = body.get<string | readonly string[]>('stop', stopRule);
  if (stop !== undefined) options.stop = typeof stop === 'string' ? [stop] : stop;
  const { vocabSize } = model.spec;
  const stopIds = body.get<readonly number[]>(
    'stop_token_ids',
    listOf(aWhole(0, vocabSize - 1), `token ids from 0 to ${vocabSize - 1}`),
  );
  const ignoresEnd = body.get<boolean>('ignore_eos', aBoolean) === true;
  if (stopIds !== undefined || ignoresEnd)
    options.stopTokenIds = [...(ignoresEnd ? [] : model.eosTokenIds), ...(stopIds ?? [])];
  const sparsity = sparsityOf(body);
  if (sparsity !== undefined) options.sparsity = sparsity;
  const bias = logitBias(body, model);
  if (bias !== undefined) options.logitBias = bias;
  return options as Options;
}

/** `"dense"`, `"exact"`, or `{ "mode": "dense" }`: whether weights behind zeros are read. The text is the same. */
function sparsityOf(body: Body): unknown {
  const modes = oneOf('exact', 'dense');
  const given = body.get<unknown>('sparsity', either('"exact", "dense" or { mode }', modes, anObject));
  if (!anObject.fits(given)) return given;
  return new Body(given as Readonly<Record<string, unknown>>, 'sparsity.').required('mode', modes);
}

/** Says "never" within f32. */
const never = -1e30;
const biasRule = aNumber(-1e30, 1e30);

/** `{ "15": -100 }` as OpenAI has it, or llama-server's pairs `[[15, -100], ["word", false]]`. */
function logitBias(body: Body, model: Model): Record<number, number> | undefined {
  const given = body.get<object>('logit_bias', either('an object or a list of pairs', anObject, listOf(anything, '')));
  if (given === undefined) return undefined;
  const pairs: readonly unknown[] = Array.isArray(given) ? given : Object.entries(given);
  const bias: Record<number, number> = {};
  for (const pair of pairs) {
    const [token, value] = Array.isArray(pair) ? (pair as unknown[]) : [];
    const amount = value === false ? never : value;
    const ids = idsOf(token, model);
    if (ids === undefined || !biasRule.fits(amount))
      throw badField('logit_bias', `token ids below ${model.spec.vocabSize} with numbers`, show(pair));
    for (const id of ids) bias[id] = amount as number;
  }
  return Object.keys(bias).length > 0 ? bias : undefined;
}

function idsOf(token: unknown, model: Model): readonly number[] | undefined {
  const id = typeof token === 'string' && /^\d{1,15}$/.test(token) ? Number(token) : token;
  if (typeof id === 'number') return Number.isInteger(id) && id >= 0 && id < model.spec.vocabSize ? [id] : undefined;
  return typeof id === 'string' ? model.tokenizer?.encode(id, { addSpecialTokens: false }) : undefined;
}

/** What the author of the model recommends, for what the request leaves open. */
export function withRecommended(options: GenerateOptions, model: Model): GenerateOptions {
  return { ...model.recommendedSampling, ...options };
}

/** `n` and what goes with it: how many answers. */
export function countOf(body: Body): number {
  return body.first<number>(['n', 'n_cmpl'], aWhole(1, mostAnswers)) ?? 1;
}

/** How clients call the options of sampling, in what is told of a model: `{ top_p: 0.9 }` for `{ topP: 0.9 }`. */
export function fieldsOfSampling(options: GenerateOptions): Readonly<Record<string, unknown>> {
  const names = new Map<string, string>(numberFields.map(({ option, names: [name = option] }) => [option, name]));
  return Object.fromEntries(Object.entries(options).map(([key, value]) => [names.get(key) ?? key, value]));
}

export const mostAnswers = 32;

export interface StreamFields {
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

export function streamFields(body: Body): StreamFields {
  const stream = body.get<boolean>('stream', aBoolean) ?? false;
  const options = body.object('stream_options');
  const includeUsage = options?.get<boolean>('include_usage', aBoolean) ?? false;
  return { stream, includeUsage };
}

/** Minutes that a model stays after the request, as Ollama writes them: 300, "5m", "1h30m", -1 for ever. */
export function keepAliveMs(body: Body): number | undefined {
  const value = body.raw('keep_alive');
  if (value === undefined) return undefined;
  const ms = typeof value === 'number' ? value * 1000 : durationMs(value);
  if (ms === undefined || !Number.isFinite(ms))
    throw badField('keep_alive', 'seconds, or a duration such as "5m"', show(value));
  return ms < 0 ? Number.POSITIVE_INFINITY : ms;
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** The milliseconds that a text such as "90s", "1h30m" or "-1" says; a plain number is seconds. */
export function durationMs(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined;
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (!/^-?(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    ms += Number(amount) * (unitMs[unit as string] as number);
  return text.startsWith('-') ? -ms : ms;
}
