// A sweep as its YAML file says it: models x settings x tasks, and the jobs that this makes. A job is a command line of
// `relufy eval` without its folder, under an id that follows from it. Does not own queues (job-queue.ts).
import { createHash } from 'node:crypto';
import { firstIssue } from '@relufy/sparsity';
import { RelufyError, show, showNames, weightDTypes } from '@relufy/tensor';
import { parseYaml } from '@relufy/tensor/yaml';
import { z } from 'zod';

export interface Job {
  /** Fit for a file name. */
  readonly id: string;
  readonly model: string;
  readonly setting: string;
  readonly task: string;
  /** Of `relufy eval`. */
  readonly args: readonly string[];
}

const settingSchema = z.union(
  [
    z.enum(['exact', 'dense']),
    z.strictObject({
      name: z.string(),
      sparsity: z.enum(['exact', 'dense']).optional(),
      dtype: z.enum(['auto', ...weightDTypes]).optional(),
      stage: z.union([z.literal(1), z.literal(2)]).optional(),
      shift: z.number().min(0).optional(),
    }),
  ],
  {
    error: ({ input }) =>
      `expected exact, dense, or { name, sparsity, dtype, stage, shift } of which the name must be there, got ${show(input)}`,
  },
);

const sweepSchema = z.strictObject({
  models: z.array(z.string()).min(1),
  settings: z.array(settingSchema).min(1).default(['exact']),
  tasks: z.array(z.string()).min(1),
  data: z.string().optional(),
  /** One for all, or by task. */
  split: z
    .union([
      z.string().regex(/^[^=,]+$/, 'expected one split, or { TASK: SPLIT, ... }'),
      z.record(z.string(), z.string()),
    ])
    .optional(),
  limit: z.number().positive().optional(),
  num_fewshot: z.number().int().min(0).optional(),
  bootstrap_iters: z.number().int().min(0).optional(),
  include_path: z.array(z.string()).optional(),
  context_length: z.number().int().positive().optional(),
  threads: z.number().int().positive().optional(),
  backend: z.enum(['auto', 'native', 'wasm', 'reference']).optional(),
});

/** @throws RelufyError `option` naming the file and the key. */
export function readSweep(where: string, text: string): Job[] {
  const parsed = sweepSchema.safeParse(parseYaml(where, text));
  if (!parsed.success) {
    const { path, message } = firstIssue(parsed.error);
    throw new RelufyError('option', `${where} "${path || 'the sweep'}": ${message}. Correct the sweep file.`);
  }
  const { models, settings, tasks, include_path: include = [], ...shared } = parsed.data;
  const { split } = shared;
  const unknown = typeof split === 'object' && Object.keys(split).find((name) => !tasks.includes(name));
  if (unknown)
    throw new RelufyError(
      'option',
      `${where} ${show(`split.${unknown}`)}: expected one of the tasks ${showNames(tasks)}, got another. Correct the sweep file.`,
    );
  const optionsOf = (values: Readonly<Record<string, string | number | undefined>>): string[] =>
    Object.entries(values).flatMap(([key, value]) =>
      value === undefined ? [] : [`--${key.replaceAll('_', '-')}`, String(value)],
    );
  const common = (task: string): string[] => [
    ...optionsOf({ ...shared, split: typeof split === 'object' ? split[task] : split }),
    ...include.flatMap((path) => ['--include-path', path]),
  ];
  return models.flatMap((model) =>
    settings.flatMap((setting) => {
      const { name, ...own } = typeof setting === 'string' ? { name: setting, sparsity: setting } : setting;
      return tasks.map((task): Job => {
        const args = [model, '--tasks', task, ...optionsOf(own), ...common(task)];
        const hash = createHash('sha256').update(JSON.stringify(args)).digest('hex').slice(0, 8);
        const words = [model.split(/[\\/]/).at(-1), name, task.split(/[\\/]/).at(-1)];
        return { id: `${words.join('-').replaceAll(/[^\w.-]/g, '_')}-${hash}`, model, setting: name, task, args };
      });
    }),
  );
}
