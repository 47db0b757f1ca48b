// Checkpoints of a run: parameters, what the optimiser keeps beside them, and where the run stands. A checkpoint is whole
// or not there, and the one before it is removed only afterwards. Does not own the arrays' file format (tensor-file.ts).
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RelufyError } from '@relufy/tensor';
import type { DrawState } from './data/sequences.js';
import type { TrainingSession } from './session.js';
import { hasTensorFile, openTensorFile, writeTensorFile } from './tensor-file.js';
import type { TrainedParameter } from './training-step.js';

export interface RunState {
  /** Optimiser steps done. */
  readonly step: number;
  /** Tokens read so far. */
  readonly tokens: number;
  readonly draws: DrawState;
}

const stateKey = 'relufy.run';
const prefix = 'step-';

const kept = ['parameter', 'm', 'v', 'average'] as const satisfies (keyof TrainedParameter)[];

function keptBuffers(session: TrainingSession) {
  return session.step.parameters.flatMap((parameter) =>
    kept.flatMap((role) => {
      const decl = parameter[role];
      return decl === undefined ? [] : [decl];
    }),
  );
}

/** Writes a checkpoint into a folder of checkpoints, then removes all but the last `keep`. Gives its path. */
export async function saveCheckpoint(
  folder: string,
  session: TrainingSession,
  state: RunState,
  keep: number,
): Promise<string> {
  const path = join(folder, `${prefix}${String(state.step).padStart(8, '0')}`);
  const tensors = keptBuffers(session).map(({ name, shape }) => ({
    name,
    dtype: 'F32',
    shape: shape as readonly number[],
    // a copy: files are not written from shared memory
    data: function* () {
      yield new Uint8Array((session.session.view(name) as Float32Array).slice().buffer);
    },
  }));
  await writeTensorFile(path, tensors, { [stateKey]: JSON.stringify(state) });
  const all = await checkpointsIn(folder);
  for (const old of all.slice(0, -keep)) await rm(join(folder, old), { recursive: true, force: true });
  return path;
}

/** The newest whole checkpoint of a folder. */
export async function latestCheckpoint(folder: string): Promise<string | undefined> {
  for (const name of (await checkpointsIn(folder)).reverse())
    if (await hasTensorFile(join(folder, name))) return join(folder, name);
  return undefined;
}

async function checkpointsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  return names.filter((name) => name.startsWith(prefix)).sort();
}

/**
 * Fills a session.
 * @throws RelufyError `checkpoint` for a file that is damaged or of another model.
 */
export async function restoreCheckpoint(path: string, session: TrainingSession): Promise<RunState> {
  const file = await openTensorFile(path).catch((cause: Error) => {
    throw new RelufyError(
      'checkpoint',
      `${path}: expected a whole checkpoint, got one that cannot be read (${cause.message}) Remove its folder to go on from the one before.`,
      { cause },
    );
  });
  try {
    const buffers = keptBuffers(session);
    const missing = buffers.find(({ name }) => !file.names.includes(name));
    if (missing !== undefined)
      throw new RelufyError(
        'checkpoint',
        `${path}: expected "${missing.name}", got none. The checkpoint belongs to another run; choose another out.`,
      );
    for (const { name } of buffers) {
      const values = new Float32Array(await file.read(name));
      const view = session.session.view(name);
      if (values.length !== view.length)
        throw new RelufyError(
          'checkpoint',
          `${path} "${name}": expected ${view.length} numbers, got ${values.length}. The checkpoint belongs to another run.`,
        );
      view.set(values);
    }
    const state = JSON.parse(file.metadata[stateKey] ?? '{}') as RunState;
    session.updates = state.step;
    return state;
  } finally {
    await file.close();
  }
}
