// Sparsity plans: what `sparsity_config.json` says of a model's masks, low-rank products and predictors, as data.
// Reads, writes and checks the description, and applies it to a spec. A plan changes answers, so nobody takes one up
// unasked. Does not own its numbers (plan-weights.ts) nor what may stand where (masks.ts).
import {
  aBoolean,
  aNumber,
  anObject,
  aText,
  aWhole,
  checkOptions,
  checkValue,
  either,
  isList,
  listOf,
  type OptionRules,
  oneOf,
  RelufyError,
  type Rule,
  parseJson as readAsPython,
  show,
} from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import {
  checkMasks,
  type LowRank,
  type Mask,
  type MaskPlace,
  maskPlaces,
  type Predictor,
  partialDTypes,
  predictorDTypes,
} from './masks.js';
import type { ReuseOptions } from './reuse.js';

export const planConfigFile = 'sparsity_config.json';

/** The version of the files that this code writes and reads. */
const planFormat = 1;

export interface SparsityPlan {
  /** Of people's interest only: `teal`, `cats`, ... */
  readonly method: string;
  readonly baseModel?: {
    readonly name?: string;
    readonly revision?: string;
    /** As `fingerprint` gives it; another model's is refused. Absent: shapes alone tell. */
    readonly fingerprint?: string;
    /** As `formatFreeFingerprint` gives it: another model is refused, the same in another weight format is not. */
    readonly anyFormat?: string;
  };
  readonly masks?: readonly Mask[];
  readonly lowRank?: readonly LowRank[];
  readonly predictor?: Predictor;
  /** Tokens at these first positions of a sequence are computed whole. */
  readonly denseTokens?: number;
  /** Windows of tokens that compute those neurons alone that the window before used. */
  readonly reuse?: ReuseOptions;
  /** What it was made from. */
  readonly calibration?: {
    readonly text?: string;
    readonly tokens?: number;
    readonly seed?: number;
    readonly dtype?: string;
    /** Of the method: target sparsity, rank, budget. */
    readonly options?: Readonly<Record<string, unknown>>;
  };
  /** What it gave where it was made. */
  readonly expected?: {
    /** Share kept, by place. */
    readonly density?: Readonly<Record<string, number>>;
    /** Share of the blocks' weight bytes that are skipped. */
    readonly modelSparsity?: number;
    readonly perplexity?: number;
    readonly densePerplexity?: number;
    /** Of a predictor: share of the active neurons that it proposes. */
    readonly recall?: number;
    readonly text?: string;
  };
}

type Json = Readonly<Record<string, unknown>>;

const places = listOf(oneOf(...maskPlaces), `a list of ${maskPlaces.join(', ')}`);
const layerNumbers = listOf(aWhole(0), 'a list of whole numbers, one a layer');
const size = aWhole(1);
const yes = oneOf(true);

const rules = {
  plan: {
    format: either(String(planFormat), oneOf(planFormat)),
    method: aText,
    base_model: anObject,
    masks: listOf(anObject, 'a list of objects'),
    low_rank: listOf(anObject, 'a list of objects'),
    predictor: anObject,
    dense_tokens: aWhole(0),
    reuse: anObject,
    calibration: anObject,
    expected: anObject,
  },
  base_model: { name: aText, revision: aText, fingerprint: aText, any_format: aText },
  relu: { at: places, kind: oneOf('relu') },
  magnitude: { at: places, kind: oneOf('magnitude'), per_channel: aBoolean, keeps_ties: aBoolean },
  top: { at: places, kind: oneOf('top'), k: layerNumbers, scaled: aBoolean, group_size: size, within: size },
  low_rank: { at: places, rank: layerNumbers, input: oneOf('all', 'remainder') },
  predictor: {
    rank: layerNumbers,
    relu: yes,
    input: oneOf('residual', 'lookahead'),
    dtype: oneOf(...predictorDTypes),
    per_neuron: yes,
  },
  reuse: { interval: size, warm_up: aBoolean },
  signs: {
    kind: oneOf('signs'),
    alpha: listOf(aNumber(0), 'a list of numbers from 0 on, one a layer'),
    per_neuron: yes,
  },
  partial: {
    kind: oneOf('partial'),
    inputs: layerNumbers,
    dtype: oneOf(...partialDTypes),
    per_neuron: yes,
  },
  'two-bit': { kind: oneOf('two-bit'), bits: layerNumbers, per_neuron: yes },
  calibration: { text: aText, tokens: aWhole(0), seed: aWhole(), dtype: aText, options: anObject },
  expected: {
    density: anObject,
    model_sparsity: aNumber(0, 1),
    perplexity: aNumber(0),
    dense_perplexity: aNumber(0),
    recall: aNumber(0, 1),
    text: aText,
  },
} as const satisfies Record<string, OptionRules<Json>>;

/**
 * Reads a description.
 * @throws RelufyError `config` for anything else than JSON of this format: unknown keys, missing ones, other values.
 */
export function parsePlan(name: string, text: string): SparsityPlan {
  const where = `${name} ${planConfigFile}`;
  const json = parsed(where, text);
  const { base_model: base, masks, low_rank: lowRank, predictor, reuse, calibration, expected } = json;
  return worded(where, () => {
    check(where, json, rules.plan, ['format', 'method']);
    if (base !== undefined) check(`${where} base_model`, base, rules.base_model, []);
    if (reuse !== undefined) check(`${where} reuse`, reuse, rules.reuse, ['interval']);
    if (calibration !== undefined) check(`${where} calibration`, calibration, rules.calibration, []);
    if (expected !== undefined) check(`${where} expected`, expected, rules.expected, []);
    return {
      method: json.method as string,
      ...(base !== undefined && { baseModel: camelKeys(base) }),
      ...(masks !== undefined && { masks: (masks as Json[]).map((mask, i) => maskOf(`${where} masks[${i}]`, mask)) }),
      ...(lowRank !== undefined && {
        lowRank: (lowRank as Json[]).map((one, i) => {
          check(`${where} low_rank[${i}]`, one, rules.low_rank, ['at', 'rank', 'input']);
          return { ...camelKeys<LowRank>(one), at: inOrder(one.at) };
        }),
      }),
      ...(predictor !== undefined && { predictor: predictorOf(`${where} predictor`, predictor) }),
      ...(json.dense_tokens !== undefined && { denseTokens: json.dense_tokens as number }),
      ...(reuse !== undefined && { reuse: camelKeys<ReuseOptions>(reuse) }),
      ...(calibration !== undefined && { calibration: camelKeys(calibration) }),
      ...(expected !== undefined && { expected: camelKeys(expected) }),
    } as SparsityPlan;
  });
}

/** The text of `sparsity_config.json`; `parsePlan` gives the plan back. */
export function planJson({ masks, lowRank, baseModel, calibration, expected, ...plan }: SparsityPlan): string {
  const json = {
    format: planFormat,
    method: plan.method,
    ...(baseModel && { base_model: snakeKeys(baseModel) }),
    ...(masks && { masks: masks.map(snakeKeys) }),
    ...(lowRank && { low_rank: lowRank.map(snakeKeys) }),
    ...(plan.predictor && { predictor: snakeKeys(plan.predictor) }),
    ...(plan.denseTokens !== undefined && { dense_tokens: plan.denseTokens }),
    ...(plan.reuse && { reuse: snakeKeys(plan.reuse) }),
    ...(calibration && { calibration: snakeKeys(calibration) }),
    ...(expected && { expected: snakeKeys(expected) }),
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

/**
 * The spec of the model with the plan. A plan states the whole of what is masked: what the model masks by itself
 * (stage 2) has to be in it too.
 * @throws RelufyError `option` where the model cannot have what the plan says.
 */
export function applyPlan(name: string, spec: ModelSpec, plan: SparsityPlan): ModelSpec {
  const { masks = [], lowRank, predictor, denseTokens, reuse } = plan;
  const own = spec.masks ?? [];
  const kept = own.filter(({ at }) => !masks.some((mask) => at.some((place) => mask.at.includes(place))));
  const lost = own.find((mask) => mask.kind === 'relu' && !kept.includes(mask));
  if (lost)
    throw new RelufyError(
      'option',
      `${name}: expected a plan that leaves the model's own ReLU at ${lost.at.join(', ')}, got masks there. Its zeros are skipped anyway.`,
    );
  const planned: ModelSpec = {
    ...spec,
    ...((kept.length > 0 || masks.length > 0) && { masks: [...kept, ...masks] }),
    ...(lowRank && { lowRank }),
    ...(predictor && { predictor }),
    ...(denseTokens && { denseTokens }),
    ...(reuse && { reuse }),
  };
  checkMasks(name, planned);
  return planned;
}

function parsed(where: string, text: string): Json {
  let json: unknown;
  try {
    json = readAsPython(text);
  } catch (cause) {
    throw new RelufyError('config', `${where}: expected JSON, got ${show(text.slice(0, 40))}.`, { cause });
  }
  if (typeof json !== 'object' || json === null || isList(json))
    throw new RelufyError('config', `${where}: expected an object, got ${show(json)}.`);
  return json as Json;
}

/** What does not fit is the file's fault, not an option's. */
function worded<Value>(where: string, read: () => Value): Value {
  try {
    return read();
  } catch (error) {
    if (!RelufyError.is(error)) throw error;
    const remedy = 'Make the plan again with this version, or check the file.';
    throw new RelufyError(
      'config',
      `${error.message.startsWith(where) ? '' : `${where}: `}${error.message} ${remedy}`,
      {
        cause: error,
      },
    );
  }
}

function check(where: string, value: unknown, table: OptionRules<Json>, required: readonly string[]): void {
  checkOptions(where, value as Json, table);
  for (const key of required)
    if ((value as Json)[key] === undefined) checkValue(`${where} "${key}"`, undefined, table[key] as Rule);
}

function maskOf(where: string, json: Json): Mask {
  const kinds = ['relu', 'magnitude', 'top'] as const;
  checkValue(`${where} "kind"`, json.kind, oneOf(...kinds));
  const kind = json.kind as (typeof kinds)[number];
  check(where, json, rules[kind], kind === 'top' ? ['at', 'k'] : ['at']);
  return { ...camelKeys<Mask>(withoutFalse(json)), at: inOrder(json.at) };
}

function predictorOf(where: string, json: unknown): Predictor {
  if ((json as Json).kind === undefined) check(where, json, rules.predictor, ['rank']);
  else {
    checkValue(`${where} "kind"`, (json as Json).kind, oneOf('signs', 'partial', 'two-bit'));
    if ((json as Json).kind === 'signs') check(where, json, rules.signs, ['kind', 'alpha']);
    else if ((json as Json).kind === 'partial') check(where, json, rules.partial, ['kind', 'inputs']);
    else check(where, json, rules['two-bit'], ['kind', 'bits']);
  }
  return camelKeys(json);
}

/** Flags are stated or absent in memory. */
const withoutFalse = (json: Json): Json =>
  Object.fromEntries(Object.entries(json).filter(([, value]) => value !== false));

/** Places as a step comes to them, whatever their order in the file. */
const inOrder = (at: unknown): readonly MaskPlace[] =>
  maskPlaces.filter((place) => (at as MaskPlace[]).includes(place));

function camelKeys<Value>(json: unknown): Value {
  const camel = (key: string) => key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(json as Json).map(([key, value]) => [camel(key), value])) as Value;
}

function snakeKeys(value: object): Json {
  const snake = (key: string) => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [snake(key), each]));
}
