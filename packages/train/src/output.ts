// Writes what a run has made as a folder in Hugging Face layout, all of it or nothing. Does not own gathering tensors or
// what config.json says (@relufy/models), how a folder comes whole (@relufy/checkpoint/node), nor checkpoints of a run
// (run-checkpoint.ts).
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFolder, writeSafetensors } from '@relufy/checkpoint/node';
import { type Activation, gatherTensors, relufiedConfig } from '@relufy/models';
import { narrowToBf16 } from '@relufy/tensor';
import type { TrainingSession } from './session.js';
import type { StartModel } from './start-model.js';

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
  const { folder, dtype, fatrelu, texts } = options;
  const parameters = new Map(session.step.parameters.map((entry) => [entry.parameter.name, entry]));
  const tensors = gatherTensors({
    map: start.map,
    buffers: session.step.buffers,
    values: (buffer) =>
      session.session.view((parameters.get(buffer)?.average ?? { name: buffer }).name) as Float32Array,
    remainder: (tensor) => start.remainder.get(tensor),
  });
  const { spec } = session;
  const barred: Activation = { kind: 'fatrelu', threshold: fatrelu ?? 0 };
  const written = fatrelu === undefined ? spec : { ...spec, ffn: { ...spec.ffn, activation: barred } };
  const config = `${JSON.stringify(relufiedConfig(start.configJson, written), null, 2)}\n`;
  const write = async (staging: string): Promise<void> => {
    for (const [file, text] of [['config.json', config] as const, ...start.texts, ...(texts ?? [])])
      await writeFile(join(staging, file), text);
    await writeSafetensors(
      join(staging, 'model.safetensors'),
      [...tensors].map(({ name, shape, values }) => ({
        name,
        shape,
        dtype: dtype === 'f32' ? 'F32' : 'BF16',
        data: dtype === 'f32' ? values : narrowToBf16(values),
      })),
      { metadata: { format: 'pt' } },
    );
  };
  await writeFolder(folder, write, { replace: true, what: 'the model' });
}
