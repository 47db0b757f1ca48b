// A task as its YAML file says it, in the keys of lm-evaluation-harness 0.4; parsed, checked, defaults filled in. Keys that
// change no score (decontamination, tags) are accepted. Does not own the built-in files (task-registry.ts), nor what a
// key means for a document (task-values.ts).
import { firstIssue } from '@relufy/sparsity';
import { RelufyError } from '@relufy/tensor';
import { z } from 'zod';

/** What `!function name` stands for: a processor of processors.ts. */
export class FunctionName {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

const named = z.instanceof(FunctionName);
const record = z.record(z.string(), z.unknown());
const ignored = z.unknown().optional();
/** What YAML makes of False or 3, which are choices too. */
const plain = z.union([z.string(), z.number(), z.boolean()]);

const metric = z.looseObject({
  metric: z.string(),
  aggregation: z.string().optional(),
  higher_is_better: z.boolean().optional(),
});

const filter = z.looseObject({ function: z.string() });

const taskSchema = z.strictObject({
  task: z.string(),
  task_alias: z.string().optional(),
  group: z.union([z.string(), z.array(z.string())]).optional(),
  tag: z.union([z.string(), z.array(z.string())]).nullish(),
  dataset_path: z.string().optional(),
  dataset_name: z.string().nullish(),
  dataset_kwargs: z
    .looseObject({ data_files: z.union([z.string(), z.record(z.string(), z.string())]).optional() })
    .nullish(),
  /** Ours: split -> files that may hold it below the data folder, where they are named otherwise than usual. */
  local_files: z.record(z.string(), z.array(z.string())).optional(),
  training_split: z.string().nullish(),
  validation_split: z.string().nullish(),
  test_split: z.string().nullish(),
  fewshot_split: z.string().nullish(),
  fewshot_config: z
    .looseObject({ sampler: z.string().optional(), split: z.string().optional(), samples: z.array(record).optional() })
    .nullish(),
  num_fewshot: z.number().int().min(0).nullish(),
  process_docs: named.optional(),
  doc_to_text: z.union([z.string(), z.number(), named]),
  doc_to_target: z.union([z.string(), z.number(), z.array(z.unknown()), named]),
  doc_to_choice: z.union([z.string(), z.array(plain), z.record(z.string(), plain), named]).nullish(),
  process_results: named.optional(),
  multiple_inputs: z.boolean().optional(),
  description: z.string().default(''),
  target_delimiter: z.string().default(' '),
  fewshot_delimiter: z.string().default('\n\n'),
  output_type: z.enum(['loglikelihood', 'loglikelihood_rolling', 'multiple_choice', 'generate_until']),
  generation_kwargs: record.nullish(),
  filter_list: z.array(z.looseObject({ name: z.string(), filter: z.array(filter).min(1) })).nullish(),
  metric_list: z.array(metric).min(1).nullish(),
  metadata: z.union([record, z.array(record)]).nullish(),
  repeats: z.literal(1).optional(),
  should_decontaminate: ignored,
  doc_to_decontamination_query: ignored,
  template_aliases: ignored,
  use_prompt: z.null().optional(),
});

/** One task, ready to be run. Field names are lm-evaluation-harness's. */
export type TaskConfig = z.infer<typeof taskSchema> & {
  readonly version: string | number;
  /** The folder that relative data files of the task are looked for in. */
  readonly folder?: string;
};

/** For `parseYaml`: `!function name` becomes a FunctionName. */
export const functionTag = { '!function': (name: string) => new FunctionName(name) };

/** Checks what a task file (its `include` resolved) says. */
export function readTask(where: string, value: unknown, folder?: string): TaskConfig {
  const parsed = taskSchema.safeParse(value);
  if (!parsed.success) {
    const { path, message } = firstIssue(parsed.error);
    throw new RelufyError('option', `${where} "${path || 'the task'}": ${message}. Correct the task file.`);
  }
  const task = parsed.data;
  const metadata = Array.isArray(task.metadata) ? Object.assign({}, ...task.metadata) : task.metadata;
  if (task.output_type === 'multiple_choice' && task.doc_to_choice == null)
    throw new RelufyError('option', `${where} "doc_to_choice": expected one for multiple_choice, got none. Add it.`);
  const version: unknown = (metadata as Record<string, unknown> | undefined)?.version ?? 'Yaml';
  return {
    ...task,
    version: typeof version === 'number' ? version : String(version),
    ...(folder !== undefined && { folder }),
  };
}

/** The fields of a task as JSON, for the results file. */
export function describeTask({ folder: _, ...task }: TaskConfig): Record<string, unknown> {
  return JSON.parse(
    JSON.stringify(task, (_key, value: unknown) => (value instanceof FunctionName ? `!function ${value.name}` : value)),
  ) as Record<string, unknown>;
}
