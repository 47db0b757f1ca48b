// Writes what a run has made as a folder in Hugging Face layout, all of it or nothing. Does not own gathering tensors or
// what config.json says (@relufy/models), nor checkpoints of a run (run-checkpoint.ts).
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { writeSafetensors } from '@relufy/checkpoint/node';
import { type Activation, type FamilyTensor, gatherTensors, type ModelSpec, relufiedConfig } from '@relufy/models';
import { narrowToBf16, RelufyError } from '@relufy/tensor';
import type { TrainingSession } from './session.js';
import type { StartModel } from './start-model.js';
import { toWriteError } from './write-error.js';

export interface OutputOptions {
  readonly folder: string;
  readonly dtype: 'f32' | 'bf16';
  /** Write the model as one with this bar in place of its ReLU. */
  readonly fatrelu?: number | undefined;
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
  const { spec } = session;
  const barred: Activation = { kind: 'fatrelu', threshold: options.fatrelu ?? 0 };
  const written = options.fatrelu === undefined ? spec : { ...spec, ffn: { ...spec.ffn, activation: barred } };
  await writeFolder(staging, target, start, written, tensors, options);
}

async function writeFolder(
  staging: string,
  target: string,
  start: StartModel,
  spec: ModelSpec,
  tensors: readonly FamilyTensor[],
  { dtype, texts }: OutputOptions,
): Promise<void> {
  const config = `${JSON.stringify(relufiedConfig(start.configJson, spec), null, 2)}\n`;
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
    toWriteError(target, 'the model')(error as NodeJS.ErrnoException);
  }
}
