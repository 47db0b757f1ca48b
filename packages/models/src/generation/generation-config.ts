// What generation_config.json says: which ids end an answer, and how its author samples. Read leniently where it only
// recommends: a setting that does not fit is as if it were not there, since other software has values of its own ("no
// limit" is -1 in one and 0 in another).
// Does not own what settings do (sampling.ts) nor ends that nobody states (turn-ends.ts).
import type { ModelFiles } from '@relufy/checkpoint';
import { ConfigReader, RelufyError, show } from '@relufy/tensor';
import { isObject } from '../families/config-values.js';
import { tokenIds } from '../families/index.js';
import { parseJson } from '../loading/plan-model.js';
import { type SamplingOptions, samplingRules } from './sampling.js';

export interface GenerationConfig {
  readonly eosTokenIds: readonly number[];
  /** What is recommended for sampling; nothing where the file does not say `do_sample`. */
  readonly sampling: SamplingOptions;
}

const file = 'generation_config.json';

/** The file's names of settings; the last two are those of OpenAI's interface. */
const settings = {
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  typical_p: 'typicalP',
  repetition_penalty: 'repetitionPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
  frequency_penalty: 'frequencyPenalty',
  presence_penalty: 'presencePenalty',
} as const satisfies Readonly<Record<string, keyof SamplingOptions>>;

/** @throws RelufyError `config` for what is no object, or ids that are none. */
export async function readGenerationConfig(
  files: ModelFiles,
  vocabSize: number,
  signal?: AbortSignal,
): Promise<GenerationConfig> {
  const text = await files.readText(file, { limitBytes: 1 << 20, signal });
  const config = text === undefined ? {} : parseJson(files.name, file, text);
  if (!isObject(config))
    throw new RelufyError('config', `${files.name} ${file}: expected an object, got ${show(config)}.`);
  return {
    eosTokenIds: tokenIds(
      new ConfigReader({ where: 'generation config', code: 'config' }, config),
      'eos_token_id',
      vocabSize,
    ),
    sampling: config.do_sample === true ? recommended(config) : {},
  };
}

function recommended(config: Readonly<Record<string, unknown>>): SamplingOptions {
  const rules = samplingRules();
  const fitting = Object.entries(settings).filter(([name, key]) => rules[key]?.fits(config[name]));
  return Object.fromEntries(fitting.map(([name, key]) => [key, config[name]]));
}
