// The options that several subcommands share, and the one place where their values are checked: a bad value is refused
// as `--name: expected ..., got "..."` before anything is loaded.
// Does not own the settings of an answer (a table of @relufy/chat) nor what loading makes of an option (@relufy/models).
import { type NumberRule, parseNumber, type Settings, settingTable, wholeFrom } from '@relufy/chat';
import type { LoadOptions } from '@relufy/models';
import { parseBytes, RelufyError, show, type WeightDType, weightDTypes } from '@relufy/tensor';
import { type Command, Option } from 'commander';
import { usageError } from './failure.js';
import { defaultModel } from './source.js';

/** What commander gives for the options of `addBackendOptions`. */
export interface BackendValues {
  readonly threads?: number;
  readonly backend?: 'auto' | 'native' | 'wasm' | 'reference';
}

/** What commander gives for the options of `addLoadOptions`. */
export interface LoadValues extends BackendValues {
  readonly model: string;
  readonly dtype?: 'auto' | WeightDType;
  readonly revision?: string;
  readonly sparsity?: 'exact' | 'dense';
  readonly contextLength?: number;
  readonly kvCache?: 'f32' | 'f16';
  readonly memoryBudget?: string;
  readonly plan?: string;
}

/** What commander gives for the options of `addSpeculateOptions`. */
export interface SpeculateValues {
  readonly speculate?: string;
  readonly draftTokens?: number;
}

/** What names a model, for help texts. */
export const modelHelp =
  'llama-tales or smollm2-135m-instruct (bundled), a path or URL of a folder or GGUF, or a name on the hub such as facebook/opt-125m';

export function addModelOption(command: Command, standard: string = defaultModel): void {
  command
    .option('-m, --model <model>', modelHelp, standard)
    .option('--revision <revision>', 'branch, tag or commit of a model on the hub');
}

/** What names a sparsity plan. */
export const planHelp =
  'sparsity plan by which weights are skipped, which changes answers: a path or URL of its folder, a ready-made one such as smollm2-135m-instruct-teal-40, or a name on the hub';

/** `relufy chat MODEL` means what `relufy chat --model MODEL` does. */
export function addModelArgument(command: Command): void {
  command.argument('[model]', `instead of --model: ${modelHelp}`).usage('[model] [options]');
}

/** The model that either way of naming it names. */
export function modelNamed(command: Command, named: string | undefined, { model }: LoadValues): string {
  if (named === undefined) return model;
  if (command.getOptionValueSource('model') === 'cli' && named !== model)
    throw usageError(`${command.name()}: expected one model, got ${show(named)} and --model ${show(model)}. Name one.`);
  return named;
}

/** How a model is held in memory. */
export function addMemoryOptions(command: Command): void {
  command
    .addOption(
      choice(
        '--dtype <dtype>',
        'format of the weights in memory; auto: as stored, of a quantised GGUF int8 (Q4_0: int4, Q4_1: uint4)',
        ['auto', ...weightDTypes],
      ),
    )
    .addOption(choice('--sparsity <mode>', 'exact: skip weights behind zeros; dense: read all', ['exact', 'dense']))
    .addOption(
      numeric('--context-length <n>', 'tokens that the context holds (default: the model, at most 4096)', wholeFrom(1)),
    )
    .addOption(choice('--kv-cache <dtype>', 'format of keys and values in memory', ['f32', 'f16']))
    .addOption(
      new Option(
        '--memory-budget <size>',
        'the most memory for weights, KV cache and activations, such as 600MB: neurons of a converted model that do not fit are read from its file when a token needs them',
      ).argParser(sizeText),
    )
    .option('--plan <plan>', planHelp);
}

/** Who drafts tokens; `others`: further sources that a command knows. */
export function addSpeculateOptions(command: Command, others = ''): void {
  command
    .option(
      '--speculate <draft>',
      `draft tokens and verify several in one step, for the same answer: prompt (from the text), reuse (by the neurons in use, of ReLU models), plan:PLAN (by a sparsity plan)${others}`,
    )
    .addOption(
      numeric('--draft-tokens <n>', 'with --speculate: tokens drafted at a time at most (default: 8)', {
        fits: (value) => Number.isInteger(value) && value >= 1 && value <= 64,
        expected: 'a whole number from 1 to 64',
      }),
    );
}

/**
 * How a model is loaded that drafts for itself; `model`: the name of another one that is to draft.
 */
export function speculationOf({ speculate: source, draftTokens }: SpeculateValues): {
  readonly options: Pick<LoadOptions, 'draftPlan' | 'speculate'>;
  readonly model?: string;
} {
  if (source === undefined) {
    if (draftTokens !== undefined) throw usageError('--draft-tokens: expected --speculate with it, got none.');
    return { options: {} };
  }
  const tokens = draftTokens === undefined ? {} : { tokens: draftTokens };
  if (source === 'prompt' || source === 'reuse') return { options: { speculate: { draft: source, ...tokens } } };
  const [, draftPlan] = /^plan:(.+)$/.exec(source) ?? [];
  if (draftPlan !== undefined) return { options: { draftPlan, speculate: { draft: 'plan', ...tokens } } };
  if (source === '' || source === 'plan' || source === 'plan:')
    throw usageError(`--speculate: expected prompt, reuse, plan:PLAN or a model, got ${JSON.stringify(source)}.`);
  return { options: {}, model: source };
}

function sizeText(text: string): string {
  if (parseBytes(text) !== undefined) return text;
  throw usageError(`--memory-budget: expected a size such as 600MB or 1.5GiB, got ${JSON.stringify(text)}.`);
}

/** What runs a step. */
export function addBackendOptions(command: Command): void {
  command
    .addOption(numeric('--threads <n>', 'threads that share a step (default: the physical cores)', wholeFrom(1)))
    .addOption(choice('--backend <backend>', 'what computes', ['auto', 'native', 'wasm', 'reference']));
}

/** Which model, how it is held in memory, and what runs it. */
export function addLoadOptions(command: Command, standard?: string): void {
  addModelOption(command, standard);
  addBackendOptions(command);
  addMemoryOptions(command);
}

export function loadOptionsOf(values: Omit<LoadValues, 'model'>): LoadOptions {
  const { threads, backend, dtype, sparsity, contextLength, kvCache, revision, plan, memoryBudget } = values;
  return {
    ...(revision !== undefined && { revision }),
    ...(threads !== undefined && { threads }),
    ...(backend !== undefined && { backend }),
    ...(dtype !== undefined && { dtype }),
    ...(sparsity !== undefined && { sparsity }),
    ...(contextLength !== undefined && { contextLength }),
    ...(kvCache !== undefined && { kvCache }),
    ...(memoryBudget !== undefined && { memoryBudget }),
    ...(plan !== undefined && { plan }),
  };
}

/** One option for each setting of an answer. */
export function addSettingOptions(command: Command): void {
  for (const setting of settingTable) {
    const name = setting.key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    command.addOption(numeric(`--${name} <${setting.placeholder}>`, setting.help, setting));
  }
}

/** The settings among the values that commander gives. */
export function settingsOf(values: Settings): Settings {
  const given = settingTable.flatMap(({ key }) => (values[key] === undefined ? [] : [[key, values[key]] as const]));
  return Object.fromEntries(given);
}

/** An option whose value is a number. */
export function numeric(flags: string, help: string, rule: NumberRule): Option {
  const option = new Option(flags, help);
  option.negate = false; // commander takes --no-repeat-ngram-size for the negation of --repeat-ngram-size
  return option.argParser((text) => numberOf(option.long as string, text, rule));
}

/** The number that an option's text says. */
export function numberOf(where: string, text: string, rule: NumberRule): number {
  try {
    return parseNumber(where, text, rule);
  } catch (error) {
    throw RelufyError.is(error) ? usageError(error.message) : error;
  }
}

/** An option whose value is one of a few words. */
export function choice(flags: string, help: string, words: readonly string[]): Option {
  const option = new Option(flags, `${help} (${words.join(', ')})`);
  return option.argParser((text) => {
    if (words.includes(text)) return text;
    throw usageError(
      `${option.long}: expected ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, got ${JSON.stringify(text)}.`,
    );
  });
}
