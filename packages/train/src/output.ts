// Writes what a run has made as a folder in Hugging Face layout. A model that `transformers` computes right keeps its
// model_type; any other gets one that transformers refuses, rather than computing something else.
// Does not own gathering tensors (@relufy/models) or checkpoints of a run (run-checkpoint.ts).
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { writeSafetensors } from '@relufy/checkpoint/node';
import { type Activation, type FamilyTensor, gatherTensors, type ModelSpec, parseConfig } from '@relufy/models';
import { narrowToBf16, RelufyError } from '@relufy/tensor';
import type { TrainingSession } from './session.js';
import type { StartModel } from './start-model.js';

/** Names of activations in configs; those with a parameter are ours. */
const names: Readonly<Record<Activation['kind'], string>> = {
  relu: 'relu',
  relu2: 'relu2',
  fatrelu: 'fatrelu',
  silu: 'silu',
  gelu: 'gelu',
  geluTanh: 'gelu_pytorch_tanh',
  swish: 'swish_beta',
  softcap: '',
  scale: '',
};

/** The keys by which families name their activation. */
const activationKeys = ['activation_function', 'activation', 'hidden_act'] as const;

/** config.json of a model after surgery. */
export function outputConfig(
  configJson: Readonly<Record<string, unknown>>,
  spec: ModelSpec,
): Readonly<Record<string, unknown>> {
  const { relufy: _, ...config } = configJson;
  const original = parseConfig(config).spec;
  const { activation, activateUp } = spec.ffn;
  const written: Record<string, unknown> = { ...config };
  const { kind, threshold } = activation;
  const parametric = threshold > 0;
  if (kind !== original.ffn.activation.kind || threshold !== original.ffn.activation.threshold) {
    const key = activationKeys.find((name) => name in config) ?? activationKey(String(config.model_type));
    written[key] = kind === 'relu' && parametric ? 'shifted_relu' : names[kind];
    if (parametric) written.hidden_act_param = threshold;
    else delete written.hidden_act_param;
  }
  const stage2 = spec.norm.relu && !original.norm.relu;
  const up = activateUp && !original.ffn.activateUp;
  if (stage2 || up) written.relufy = { stage: stage2 ? 2 : 1, ...(up && { activateUp }) };
  const base = String(config.model_type).replace(/^relufy_/, '');
  written.model_type = stage2 || up || parametric ? `relufy_${base}` : base;
  return written;
}

function activationKey(modelType: string): string {
  return /opt$/.test(modelType) ? 'activation_function' : /falcon$/.test(modelType) ? 'activation' : 'hidden_act';
}

export interface OutputOptions {
  readonly folder: string;
  readonly dtype: 'f32' | 'bf16';
  /** Further files. */
  readonly texts?: ReadonlyMap<string, string>;
}

/** Writes the model of a session, all of it or nothing; an existing folder of that name is replaced at the end. */
export async function writeModel(start: StartModel, session: TrainingSession, options: OutputOptions): Promise<void> {
  const target = resolve(options.folder);
  const staging = join(dirname(target), `.${basename(target)}.${randomUUID()}.tmp`);
  const parameters = new Map(session.step.parameters.map((entry) => [entry.parameter.name, entry]));
  const tensors = [
    ...gatherTensors({
      map: start.map,
      buffers: session.step.buffers,
      values: (buffer) =>
        session.session.view((parameters.get(buffer)?.average ?? { name: buffer }).name) as Float32Array,
      remainder: (tensor) => start.remainder.get(tensor),
    }),
  ];
  await writeFolder(staging, target, start, session.spec, tensors, options);
}

async function writeFolder(
  staging: string,
  target: string,
  start: StartModel,
  spec: ModelSpec,
  tensors: readonly FamilyTensor[],
  { dtype, texts }: OutputOptions,
): Promise<void> {
  const config = `${JSON.stringify(outputConfig(start.configJson, spec), null, 2)}\n`;
  try {
    await mkdir(staging, { recursive: true });
    for (const [file, text] of [['config.json', config] as const, ...start.texts, ...(texts ?? [])])
      await writeFile(join(staging, file), text);
    await writeSafetensors(
      join(staging, 'model.safetensors'),
      tensors.map(({ name, shape, values }) => ({
        name,
        shape,
        dtype: dtype === 'f32' ? 'F32' : 'BF16',
        data: dtype === 'f32' ? values : narrowToBf16(values),
      })),
      { metadata: { format: 'pt' } },
    );
    await rm(target, { recursive: true, force: true });
    await rename(staging, target);
  } catch (error) {
    await rm(staging, { recursive: true, force: true }).catch(() => {});
    if (RelufyError.is(error)) throw error;
    const { code = String(error) } = error as NodeJS.ErrnoException;
    const remedy = code === 'ENOSPC' ? 'The disk is full; free some space.' : 'Check that the folder can be written.';
    throw new RelufyError('io', `${target}: expected to write the model, got ${code}. ${remedy}`, { cause: error });
  }
}
