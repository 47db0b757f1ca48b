// The options of the commands that study a model rather than talk to it (eval, measure): the model is an argument, and
// may be read as a ReLU model. Does not own what loading makes of them (@relufy/models).
import { wholeFrom } from '@relufy/chat';
import type { LoadOptions, RelufyOptions } from '@relufy/models';
import type { Command } from 'commander';
import { usageError } from './failure.js';
import { addMemoryOptions, choice, type LoadValues, loadOptionsOf, numeric } from './options.js';

/** What commander gives for the options of `addStudyOptions`. */
export interface StudyValues extends Omit<LoadValues, 'model'> {
  readonly stage?: 1 | 2;
  readonly shift?: number;
}

export function addStudyOptions(command: Command): void {
  command
    .option('--revision <revision>', 'branch, tag or commit of a model on the hub')
    .addOption(numeric('--threads <n>', 'threads that share a step (default: the physical cores)', wholeFrom(1)))
    .addOption(choice('--backend <backend>', 'what computes', ['auto', 'native', 'wasm', 'reference']))
    .addOption(numeric('--stage <n>', 'read the checkpoint as a ReLU model: 1 or 2', wholeFrom(1)))
    .addOption(
      numeric('--shift <b>', 'with --stage: max(0, x - b) as activation', {
        fits: (value) => value >= 0,
        expected: 'a number >= 0',
      }),
    );
  addMemoryOptions(command);
}

export function studyOptionsOf(values: StudyValues): LoadOptions {
  const { stage, shift } = values;
  if (stage === undefined && shift !== undefined) throw usageError('--shift: expected --stage with it, got none.');
  const relufy: RelufyOptions | undefined =
    stage === undefined ? undefined : { stage, ...(shift !== undefined && { shift }) };
  return { ...loadOptionsOf(values), ...(relufy && { relufy }) };
}

/** What a run was loaded with, as its results file says it. */
export function studyArgsOf(source: string, values: StudyValues): Record<string, unknown> {
  const { dtype = 'auto', stage = 0, shift = 0 } = values;
  return { pretrained: source, dtype, relufy_stage: stage, relufy_shift: shift };
}
