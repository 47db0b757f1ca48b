// Reads the training cases of ../shared/golden/training and makes their batches, for tests.
import { readFileSync } from 'node:fs';
import { folderFiles } from '@relufy/checkpoint/node';
import { type ModelSpec, planModel, type RelufyOptions } from '@relufy/models';
import { createReferenceBackend, type HostBackend } from '@relufy/tensor';
import { shared } from '../../../../tools/testing/shared.js';
import { type Part, TrainingSession } from '../index.js';
import type { TrainingStepOptions } from '../training-step.js';

export interface GoldenTraining {
  readonly tensors: ReadonlyMap<string, Float32Array>;
  readonly losses: Float64Array;
  readonly gradNorms: Float64Array;
  /** [steps][sequences] of ids, and which are scored. */
  readonly batches: readonly (readonly Int32Array[])[];
  readonly masks: readonly (readonly Uint8Array[])[];
}

export function readGoldenTraining(name: string): GoldenTraining {
  const bytes = readFileSync(shared(`golden/training/${name}.safetensors`));
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, start).toString());
  const read = (tensor: string): ArrayBuffer => {
    const [from, to] = header[tensor].data_offsets as [number, number];
    return bytes.buffer.slice(bytes.byteOffset + start + from, bytes.byteOffset + start + to) as ArrayBuffer;
  };
  const [steps, sequences, length] = header.batches.shape as [number, number, number];
  const split = <T extends Int32Array | Uint8Array>(values: T) =>
    Array.from({ length: steps }, (_, step) =>
      Array.from({ length: sequences }, (_, i) => {
        const from = (step * sequences + i) * length;
        return values.slice(from, from + length) as T;
      }),
    );
  const floats = Object.keys(header).filter((tensor) => header[tensor].dtype === 'F32');
  return {
    tensors: new Map(floats.map((tensor) => [tensor, new Float32Array(read(tensor))])),
    losses: new Float64Array(read('losses')),
    gradNorms: new Float64Array(read('grad_norms')),
    batches: split(new Int32Array(read('batches'))),
    masks: split(new Uint8Array(read('label_mask'))),
  };
}

/** Sequences of ids as a part of a batch: a sequence a slot, scored next tokens only. */
export function partOf(sequences: readonly Int32Array[], masks: readonly Uint8Array[], scored: number): Part {
  const rows: { token: number; position: number; slot: number; target?: number }[] = [];
  sequences.forEach((ids, slot) => {
    for (let position = 0; position < ids.length - 1; position++) {
      const isScored = masks[slot]?.[position + 1] === 1;
      const target = isScored && { target: ids[position + 1] as number };
      rows.push({ token: ids[position] as number, position, slot, ...(target || {}) });
    }
  });
  const outputs = rows.flatMap(({ target }, row) => (target === undefined ? [] : [{ row, target }]));
  return {
    tokens: Int32Array.from(rows, ({ token }) => token),
    positions: Int32Array.from(rows, ({ position }) => position),
    slots: Int32Array.from(rows, ({ slot }) => slot),
    outputRows: Int32Array.from(outputs, ({ row }) => row),
    targets: Int32Array.from(outputs, ({ target }) => target),
    weights: new Float32Array(outputs.length).fill(1 / scored),
  };
}

/** A session, on the reference backend if no other is given, over a checkpoint of ../shared, as the golden runs were configured. */
export async function goldenSession(
  name: string,
  options: Partial<TrainingStepOptions> = {},
  relufy?: RelufyOptions,
  change: (spec: ModelSpec) => ModelSpec = (spec) => spec,
  backend: HostBackend = createReferenceBackend(),
) {
  const files = await folderFiles(shared(name));
  const plan = await planModel(files, { contextLength: 33, ...(relufy && { relufy }) });
  const session = await TrainingSession.create(backend, change(plan.spec), {
    limits: { maxRows: 128, maxOutputs: 128 },
    slots: 4,
    contextLength: 33,
    beta1: 0.9,
    beta2: 0.95,
    eps: 1e-8,
    groups: [{ match: () => true, weightDecay: 0.1, lrScale: 1 }],
    ...options,
  });
  await plan.sources.load({ name, session: session.session, buffers: session.step.buffers });
  const map = plan.config.family.weights(plan.spec);
  // two rows of OPT's position table are in no buffer
  const remainder = new Map<string, Float32Array>();
  for (const { tensor, tensorRows, rows } of [...map.values()].flat())
    if (rows < tensorRows && tensor.includes('embed_positions') && plan.checkpoint.tensors.has(tensor)) {
      const { data } = await plan.checkpoint.readRows(tensor, 0, tensorRows);
      remainder.set(tensor, new Float32Array(data.slice().buffer));
    }
  await plan.checkpoint.close();
  return { session, map, remainder };
}
