// `relufy convert`: a model of any format -> a folder in Hugging Face layout or a GGUF file, streamed and atomic.
// Does not own the conversions (@relufy/models, @relufy/checkpoint).
import { stat } from 'node:fs/promises';
import { wholeFrom } from '@relufy/chat';
import {
  convertModel,
  inputMeanSquares,
  type RelufyOptions,
  searchedDTypes,
  type WeightDType,
  writeGguf,
} from '@relufy/models';
import { weightDTypes } from '@relufy/tensor';
import type { Command } from 'commander';
import { usageError } from '../failure.js';
import { choice, modelHelp, numeric, planHelp } from '../options.js';
import { print } from '../output.js';
import { untilInterrupted } from '../signals.js';
import { openText, sequencesOf, textIds, whileWanted } from '../text-ids.js';
import { openModel, openShown } from '../with-model.js';
import { type WorkLine, workLine } from '../work-line.js';

const examples = `
Formats:
  safetensors  f32 and bf16 in the family's own layout, for every tool; int8, int4 and uint4 packed as Relufy holds them
  gguf         f32, f16, q8_0 and q4_0, for llama.cpp (which computes each architecture's own activation only)

Examples:
  $ relufy convert facebook/opt-125m --dtype int8 --out ./opt-125m-int8
  $ relufy convert ./model.gguf --dtype bf16 --out ./model
  $ relufy convert ./model --dtype int4 --calibrate wiki.txt --out ./model-int4
  $ relufy convert ./model --to gguf --dtype q8_0 --out ./model.gguf
  $ relufy convert ./llama --stage 1 --dtype bf16 --out ./llama-relu`;

const ggufTypes = ['f32', 'f16', 'q8_0', 'q4_0'] as const;

interface ConvertValues {
  readonly to?: 'safetensors' | 'gguf';
  readonly dtype?: string;
  readonly layout?: 'hf' | 'packed';
  readonly bundle?: true;
  readonly out: string;
  readonly revision?: string;
  readonly stage?: 1 | 2;
  readonly shift?: number;
  readonly plan?: string;
  readonly calibrate?: string;
  readonly calibrationTokens: number;
}

export function define(command: Command): void {
  command
    .usage('MODEL --out PATH [options]')
    .argument('<model>', modelHelp)
    .requiredOption('-o, --out <path>', 'the folder, or the GGUF file, to write')
    .addOption(
      choice('--to <format>', 'what to write; default: gguf for a PATH that ends in .gguf, else safetensors', [
        'safetensors',
        'gguf',
      ]),
    )
    .option(
      '--dtype <dtype>',
      `${weightDTypes.join(', ')} (default: bf16); for gguf ${ggufTypes.join(', ')} (default: f16)`,
    )
    .addOption(choice('--layout <layout>', 'packed: as Relufy holds it, to be loaded at once', ['hf', 'packed']))
    .option('--bundle', 'packed, for --memory-budget: what is read of a neuron lies side by side')
    .option('--revision <revision>', 'branch, tag or commit of a model on the hub')
    .addOption(numeric('--stage <n>', 'relufy on the way: 1 or 2', wholeFrom(1)))
    .addOption(
      numeric('--shift <b>', 'with --stage: max(0, x - b) as activation', {
        fits: (value) => value >= 0,
        expected: 'a number >= 0',
      }),
    )
    .option('--plan <plan>', `lay packed weights out for a ${planHelp}`)
    .option(
      '--calibrate <file>',
      'a text, plain or gzipped, that tells which inputs are large: int4 and uint4 lose less of the model',
    )
    .addOption(
      numeric('--calibration-tokens <n>', 'tokens of it that --calibrate looks at', wholeFrom(1)).default(8192),
    )
    .addHelpText('after', examples)
    .action(convert);
}

async function convert(source: string, values: ConvertValues): Promise<void> {
  const relufy = relufyOf(values);
  await untilInterrupted(async (signal) => {
    const line = workLine(process.stderr);
    const onProgress = ({ loaded, total }: { loaded: number; total: number }) =>
      line.hear({ what: `converting to ${values.out}`, share: loaded / total });
    try {
      const files = await openShown(source, { signal, ...(values.revision && { revision: values.revision }) });
      const to = values.to ?? (/\.gguf$/i.test(values.out) ? 'gguf' : 'safetensors');
      if (to === 'gguf') {
        if (relufy || values.layout || values.bundle || values.plan || values.calibrate)
          throw usageError(
            '--to gguf: expected no --stage, --shift, --layout, --bundle, --plan or --calibrate, got one.',
          );
        const type = oneOf(values.dtype ?? 'f16', ggufTypes);
        await refuseExisting(values.out);
        await writeGguf(values.out, files, { type, onProgress, signal });
      } else {
        const dtype: WeightDType = oneOf(values.dtype ?? 'bf16', weightDTypes);
        const { layout } = values;
        if (values.calibrate !== undefined && !searchedDTypes.includes(dtype))
          throw usageError(`--calibrate: expected it with --dtype ${searchedDTypes.join(' or ')}, got ${dtype}.`);
        const importance = values.calibrate && (await importanceOf(source, values, line, signal));
        await convertModel(files, values.out, {
          dtype,
          onProgress,
          signal,
          ...(layout && { layout }),
          ...(values.bundle && { bundle: true }),
          ...(relufy && { relufy }),
          ...(importance && { importance }),
          ...(values.plan && { plan: await openShown(values.plan, { signal }) }),
        });
      }
    } finally {
      line.clear();
    }
  });
  print(values.out);
}

/** Runs the model that is converted over the text, in the format that its files have. */
async function importanceOf(
  source: string,
  { calibrate = '', calibrationTokens, revision, plan, ...values }: ConvertValues,
  line: WorkLine,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Float32Array>> {
  const text = await openText(calibrate, '--calibrate');
  const relufy = relufyOf({ ...values, calibrationTokens });
  const model = await openModel(source, {
    dtype: 'auto',
    signal,
    ...(revision && { revision }),
    ...(plan && { plan }),
    ...(relufy && { relufy }),
  });
  try {
    const ids = textIds(whileWanted(text(), signal), (...asked) => model.encode(...asked));
    const sequences: (readonly number[])[] = [];
    for await (const sequence of sequencesOf(ids, model.contextLength, calibrationTokens)) sequences.push(sequence);
    const onProgress = (share: number) => line.hear({ what: `running ${source} over ${calibrate}`, share });
    return await inputMeanSquares(model, sequences, { signal, onProgress });
  } finally {
    await model.dispose();
  }
}

function relufyOf({ stage, shift }: ConvertValues): RelufyOptions | undefined {
  if (stage === undefined && shift !== undefined) throw usageError('--shift: expected --stage with it, got none.');
  return stage === undefined ? undefined : { stage, ...(shift !== undefined && { shift }) };
}

function oneOf<Word extends string>(text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text);
  if (found === undefined) throw usageError(`--dtype: expected ${words.join(', ')}, got ${JSON.stringify(text)}.`);
  return found;
}

async function refuseExisting(path: string): Promise<void> {
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (exists) throw usageError(`--out: expected a file that does not exist yet, got ${JSON.stringify(path)}.`);
}
