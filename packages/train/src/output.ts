// Writes what a run has made as a folder in Hugging Face layout. Does not own gathering tensors, what config.json says or
// writing a folder (@relufy/models), nor checkpoints of a run (run-checkpoint.ts).
import type { TensorToWrite } from '@relufy/checkpoint';
import {
  type Activation,
  gatherTensors,
  type ModelFolder,
  modelTexts,
  planBuffers,
  planConfigFile,
  planJson,
  relufiedConfig,
  type SparsityPlan,
  writeModelFolder,
} from '@relufy/models';
import { elementsOf, narrowToBf16 } from '@relufy/tensor';
import type { TrainingSession } from './session.js';
import type { StartModel } from './start-model.js';

export interface OutputOptions {
  readonly folder: string;
  readonly dtype: 'f32' | 'bf16';
  /** Write the model as one with this bar in place of its ReLU. */
  readonly fatrelu?: number | undefined;
  /** Of rising masks: a plan of its own files beside the weights. */
  readonly plan?: SparsityPlan;
  /** Further files. */
  readonly texts?: ReadonlyMap<string, string>;
}

/** Writes the model of a session, all of it or nothing; an existing folder of that name is replaced at the end. */
export async function writeModel(start: StartModel, session: TrainingSession, options: OutputOptions): Promise<void> {
  const { folder, dtype, fatrelu, plan, texts } = options;
  const parameters = new Map(session.step.parameters.map((entry) => [entry.parameter.name, entry]));
  const tensors: TensorToWrite[] = [];
  const gathered = gatherTensors({
    map: start.map,
    buffers: session.step.buffers,
    values: async (buffer) => {
      const { name } = parameters.get(buffer)?.average ?? { name: buffer };
      return (await elementsOf(session.session, name)) as Float32Array;
    },
    remainder: (tensor) => start.remainder.get(tensor),
  });
  for await (const { name, shape, values } of gathered)
    tensors.push({
      name,
      shape,
      dtype: dtype === 'f32' ? 'F32' : 'BF16',
      data: dtype === 'f32' ? values : narrowToBf16(values),
    });
  const { spec } = session;
  const barred: Activation = { kind: 'fatrelu', threshold: fatrelu ?? 0 };
  const written = fatrelu === undefined ? spec : { ...spec, ffn: { ...spec.ffn, activation: barred } };
  const contents: ModelFolder = {
    texts: modelTexts(relufiedConfig(start.configJson, written), [
      ...start.texts,
      ...(texts ?? []),
      ...(plan ? ([[planConfigFile, planJson(plan)]] as const) : []),
    ]),
    tensors,
    ...(plan && { planTensors: await planTensors(session) }),
  };
  await writeModelFolder(folder, async () => contents, { replace: true, what: 'the model' });
}

/** What the session holds of a plan's numbers. */
async function planTensors({ spec, session }: TrainingSession): Promise<TensorToWrite[]> {
  const tensors: TensorToWrite[] = [];
  for (const { name, shape } of planBuffers(spec))
    tensors.push({
      name,
      shape: shape as readonly number[],
      dtype: 'F32',
      data: (await session.read(name)) as Float32Array,
    });
  return tensors;
}
