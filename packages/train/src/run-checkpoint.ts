// Checkpoints of a run: parameters, what the optimiser keeps beside them, thresholds that rise, where the run stands, and its config. One is
// whole or not there, and the one before it is removed only afterwards. Owns finding the newest whose bytes are those that
// were written. Does not own the arrays' file format (tensor-file.ts).
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { toWriteError } from '@relufy/checkpoint/node';
import { elementCount, isFiniteBuffer, isList, RelufyError, show } from '@relufy/tensor';
import type { DrawState } from './data/sequences.js';
import type { TrainedParameter } from './optimizer.js';
import type { TrainingSession } from './session.js';
import {
  hasTensorFile,
  openTensorFile,
  stateOfTensorFile,
  type TensorFile,
  type TensorFileState,
  writeTensorFile,
} from './tensor-file.js';

export interface RunState {
  /** Optimiser steps done. */
  readonly step: number;
  /** Tokens read so far. */
  readonly tokens: number;
  readonly draws: DrawState;
}

const stateKey = 'relufy.run';
const configKey = 'relufy.config';
const prefix = 'step-';
/** Before the name of one that was set aside. */
const damagedPrefix = 'damaged-';

const kept = ['parameter', 'm', 'v', 'average'] as const satisfies (keyof TrainedParameter)[];

/** Names that sort as their steps do. */
export const stepName = (step: number): string => `${prefix}${String(step).padStart(8, '0')}`;

function keptBuffers(session: TrainingSession) {
  const ofParameters = session.step.parameters.flatMap((parameter) =>
    kept.flatMap((role) => {
      const decl = parameter[role];
      return decl === undefined ? [] : [decl];
    }),
  );
  return [...ofParameters, ...session.step.state];
}

export interface SaveOptions {
  readonly state: RunState;
  /** Of the run, as its folder keeps it. */
  readonly config: unknown;
  /** So many remain, this one among them. */
  readonly keep: number;
}

/** Writes a checkpoint into a folder of checkpoints, then removes all but the last `keep`. Gives its path. */
export async function saveCheckpoint(
  folder: string,
  session: TrainingSession,
  { state, config, keep }: SaveOptions,
): Promise<string> {
  const path = join(folder, stepName(state.step));
  const tensors = keptBuffers(session).map(({ name, shape }) => ({
    name,
    dtype: 'F32',
    shape: shape as readonly number[],
    // a copy: files are not written from shared memory
    data: async function* () {
      yield new Uint8Array(((await session.session.read(name)) as Float32Array).buffer);
    },
  }));
  await writeTensorFile(path, tensors, { [stateKey]: JSON.stringify(state), [configKey]: JSON.stringify(config) });
  const all = await checkpointsIn(folder);
  for (const old of all.slice(0, -keep)) await rm(join(folder, old), { recursive: true, force: true });
  return path;
}

export interface FoundCheckpoint {
  readonly path: string;
  /** No checksum says whether its bytes are those that were written. */
  readonly unchecked: boolean;
  /** Newer ones whose bytes are not, newest first. */
  readonly damaged: readonly { readonly path: string; readonly reason: string }[];
}

/**
 * The newest checkpoint of a folder whose bytes are those that were written; undefined when there is none at all.
 * @throws RelufyError `checkpoint` when all are damaged.
 */
export async function findCheckpoint(folder: string): Promise<FoundCheckpoint | undefined> {
  const damaged: { path: string; reason: string }[] = [];
  for (const name of (await checkpointsIn(folder)).reverse()) {
    const path = join(folder, name);
    if (!(await hasTensorFile(path))) continue;
    const state: TensorFileState = await stateOfTensorFile(path);
    if (typeof state === 'string') return { path, unchecked: state === 'unchecked', damaged };
    damaged.push({ path, reason: state.damage });
  }
  const [newest] = damaged;
  if (newest === undefined) return undefined;
  throw new RelufyError(
    'checkpoint',
    `${newest.path}: expected a whole checkpoint, got a damaged one (${newest.reason}), and no other that is whole. Put a copy in its place, or remove ${folder} to begin anew.`,
  );
}

/** Out of the way of the checkpoints that follow; gives where it lies now. */
export async function setAside(folder: string, path: string): Promise<string> {
  const place = join(folder, `${damagedPrefix}${path.slice(folder.length + 1)}`);
  await rm(place, { recursive: true, force: true });
  await rename(path, place).catch(toWriteError(place));
  return place;
}

async function checkpointsIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new RelufyError('io', `${folder}: expected a folder of checkpoints, got ${error.code}. Check its rights.`, {
      cause: error,
    });
  });
  return names.filter((name) => name.startsWith(prefix)).sort();
}

/** The config of the run that wrote a checkpoint; undefined where it does not say. */
export async function configInCheckpoint(path: string): Promise<unknown> {
  const file = await openTensorFile(path);
  try {
    return JSON.parse(file.metadata[configKey] ?? 'null') ?? undefined;
  } catch {
    return undefined;
  } finally {
    await file.close();
  }
}

/**
 * Fills a session.
 * @throws RelufyError `checkpoint` for a file that is damaged or of another model.
 */
export async function restoreCheckpoint(path: string, session: TrainingSession): Promise<RunState> {
  const file = await openTensorFile(path);
  try {
    const buffers = keptBuffers(session);
    const missing = buffers.find(({ name }) => !file.names.includes(name));
    if (missing !== undefined)
      throw new RelufyError(
        'checkpoint',
        `${path}: expected "${missing.name}", got none. The checkpoint belongs to another run; choose another out.`,
      );
    const state = stateIn(path, file);
    for (const decl of buffers) {
      const { name } = decl;
      const values = new Float32Array(await file.read(name, 'F32'));
      const count = elementCount(decl, session.limits);
      if (values.length !== count)
        throw new RelufyError(
          'checkpoint',
          `${path} "${name}": expected ${count} numbers, got ${values.length}. The checkpoint belongs to another run.`,
        );
      if (!isFiniteBuffer('f32', values, 0))
        throw new RelufyError(
          'checkpoint',
          `${path} ${show(name)}: expected finite numbers, got NaN or infinity. The checkpoint is damaged; go on from an older one.`,
        );
      await session.session.write(name, values);
    }
    session.updates = state.step;
    return state;
  } finally {
    await file.close();
  }
}

function stateIn(path: string, { metadata }: TensorFile): RunState {
  const text = metadata[stateKey] ?? '';
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
  try {
    const state = JSON.parse(text) as RunState;
    const { drawn, bySource } = state.draws;
    if (isList(bySource) && [state.step, state.tokens, drawn, ...Array.from(bySource)].every(isCount)) return state;
  } catch {}
  throw new RelufyError(
    'checkpoint',
    `${path} "${stateKey}": expected where the run stands, got ${show(text.slice(0, 80))}. The checkpoint is no run's; choose another out.`,
  );
}
