// The registry of families, and the way from a config.json to a family and its spec.
import { ConfigReader, RelufyError, show } from '@relufy/tensor';
import { type RelufyOptions, relufy } from '../sparsity/relufy.js';
import type { ModelSpec } from '../spec.js';
import { isObject, refuseUnsupported } from './config-values.js';
import { falcon } from './falcon.js';
import type { Family } from './family.js';
import { llama } from './llama.js';
import * as relatives from './llama-relatives.js';
import { opt } from './opt.js';
import { rwkv } from './rwkv.js';
import * as sparseRelu from './sparse-relu.js';

export const families: readonly Family[] = [
  llama,
  opt,
  falcon,
  ...Object.values(relatives),
  ...Object.values(sparseRelu),
  rwkv,
];

export interface ParsedConfig {
  readonly modelType: string;
  readonly family: Family;
  readonly spec: ModelSpec;
  /** A checkpoint without gates has a plain FFN, and is no error. */
  readonly gateIsOptional: boolean;
  /** Token ids that end a text, from `eos_token_id`. */
  readonly eosTokenIds: readonly number[];
}

/**
 * Parses the text or the object of a config.json.
 * @throws RelufyError `config` naming the key that does not fit.
 */
export function parseConfig(config: unknown): ParsedConfig {
  if (!isObject(config)) throw new RelufyError('config', `config.json: expected an object, got ${show(config)}.`);
  const known = families.flatMap(({ modelTypes }) => modelTypes);
  const modelType = config.model_type ?? typeOfArchitecture(config.architectures);
  // `relufy_llama`: a Llama that only Relufy computes right, so that other software refuses it
  const familyType = String(modelType).replace(/^relufy_/, '');
  const family = families.find(({ modelTypes }) => modelTypes.includes(familyType));
  if (typeof modelType !== 'string' || family === undefined)
    throw new RelufyError('config', `config.json "model_type": expected ${known.join(', ')}, got ${show(modelType)}.`);
  const reader = new ConfigReader(
    { where: `${modelType} config`, code: 'config' },
    { ...config, model_type: familyType },
  );
  refuseUnsupported(reader, family.readsQuantization);
  const original = family.parse(reader);
  const spec = config.relufy === undefined ? original : relufy(original, recordedOptions(reader));
  const gateIsOptional = family.gateIsOptional?.(reader) ?? false;
  return { modelType, family, spec, gateIsOptional, eosTokenIds: tokenIds(reader, 'eos_token_id', spec.vocabSize) };
}

/** Some published configs name only the class of their code. */
function typeOfArchitecture(architectures: unknown): string | undefined {
  const name: unknown = Array.isArray(architectures) ? architectures[0] : undefined;
  return families.find((family) => family.architectures?.some((known) => known === name))?.modelTypes[0];
}

/** What Relufy itself wrote into the config of a model that it relufied. */
function recordedOptions(config: ConfigReader): RelufyOptions {
  const value = config.raw('relufy');
  if (!isObject(value)) config.fail('relufy', 'an object with stage and activateUp');
  return value as unknown as RelufyOptions;
}

/** One id or several, as configs write them. */
export function tokenIds(config: ConfigReader, key: string, vocabSize: number): readonly number[] {
  const value = config.raw(key);
  if (value === undefined) return [];
  const ids = Array.isArray(value) ? value : [value];
  for (const id of ids)
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= vocabSize)
      config.fail(key, `token ids below ${vocabSize}`);
  return ids as number[];
}
