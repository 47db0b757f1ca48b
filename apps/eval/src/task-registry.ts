// Which tasks and groups there are: the built-in YAML files and those of a user's folders. Owns names, groups, tags,
// `include` and our `variants` (one template, many names). What a single task may say is task-file.ts.
import { readdir, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readNamedFile } from '@relufy/checkpoint/node';
import { firstIssue } from '@relufy/sparsity';
import { RelufyError, show } from '@relufy/tensor';
import { mostYamlBytes, parseYaml } from '@relufy/tensor/yaml';
import { z } from 'zod';
import { decodeText } from './data-files.js';
import { FunctionName, functionTag, readTask, type TaskConfig } from './task-file.js';
import { fitsWildcard } from './wildcard.js';

export interface GroupConfig {
  readonly group: string;
  readonly alias: string;
  /** Tasks or groups. */
  readonly members: readonly string[];
  /** The mean counts documents, or tasks. */
  readonly weightBySize: boolean;
  readonly version: string | number;
}

/** What an evaluation runs. */
export interface TaskSelection {
  readonly tasks: readonly TaskConfig[];
  /** Outer before inner. */
  readonly groups: readonly GroupConfig[];
}

const metadataSchema = z.looseObject({ version: z.union([z.number(), z.string()]).optional() }).nullish();

const groupSchema = z.strictObject({
  group: z.string(),
  group_alias: z.string().optional(),
  task: z.array(z.string()).min(1),
  aggregate_metric_list: z
    .union([z.looseObject({ weight_by_size: z.boolean().optional() }), z.array(z.looseObject({}))])
    .nullish(),
  aggregate_metric: z.boolean().optional(),
  weight_by_size: z.boolean().optional(),
  metadata: metadataSchema,
});

const variantsSchema = z.strictObject({
  group: z.string(),
  weight_by_size: z.boolean(),
  metadata: metadataSchema,
  variants: z.strictObject({
    template: z.record(z.string(), z.unknown()),
    names: z.array(z.string()).optional(),
    groups: z.record(z.string(), z.array(z.string())).optional(),
  }),
});

const builtInFolder = fileURLToPath(new URL('../tasks/', import.meta.url));
/** Of groups in groups: what two say of each other is counted again for each. */
const mostLevels = 8;

export class TaskRegistry {
  readonly #tasks = new Map<string, TaskConfig>();
  readonly #groups = new Map<string, GroupConfig>();

  /** The built-in tasks, then those of a user's folders and files, which may replace them. */
  static async open(include: readonly string[] = []): Promise<TaskRegistry> {
    const registry = new TaskRegistry();
    await registry.add(builtInFolder);
    for (const path of include) await registry.add(path);
    return registry;
  }

  get taskNames(): string[] {
    return [...this.#tasks.keys()].sort();
  }

  get groupNames(): string[] {
    return [...this.#groups.keys()].sort();
  }

  /** Adds a YAML file, or every one in a folder and the folders in it. */
  async add(path: string): Promise<void> {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined)
      throw new RelufyError(
        'io',
        `tasks: expected a YAML file or a folder of them, got ${show(path)}. Check the path.`,
      );
    if (!found.isDirectory()) {
      await this.#addFile(path);
      return;
    }
    const names = await readdir(path, { recursive: true });
    for (const name of names.sort()) if (/\.ya?ml$/.test(name)) await this.#addFile(join(path, name));
  }

  /**
   * Tasks by name, by group, by tag, by a pattern with `*`, or by the path of a YAML file.
   * @throws RelufyError `option` for a name that is none of these, saying which are close.
   */
  async select(names: readonly string[]): Promise<TaskSelection> {
    const tasks = new Map<string, TaskConfig>();
    const groups = new Map<string, GroupConfig>();
    const visit = (name: string, outer: readonly string[] = []) => {
      const group = this.#groups.get(name);
      const task = this.#tasks.get(name);
      if (group && (outer.includes(name) || outer.length >= mostLevels))
        throw new RelufyError(
          'option',
          `tasks: group ${show(name)}: expected groups in groups up to ${mostLevels} deep, got ${outer.includes(name) ? 'one that is in itself' : 'more'}. Correct its file.`,
        );
      if (group && !groups.has(name)) {
        groups.set(name, group);
        for (const member of group.members) visit(member, [...outer, name]);
      } else if (task) tasks.set(name, task);
      else if (!group)
        throw new RelufyError('option', `tasks: expected a name, got ${show(name)}. ${this.#suggest(name)}`);
    };
    for (const name of names) {
      if (/\.ya?ml$/.test(name)) for (const task of await this.#addFile(name)) visit(task);
      else if (name.includes('*')) {
        const matching = [...this.#groups.keys(), ...this.#tasks.keys()].filter((known) => fitsWildcard(name, known));
        if (matching.length === 0) visit(name);
        for (const one of matching) visit(one);
      } else {
        const tagged = this.taskNames.filter((task) => [this.#tasks.get(task)?.tag ?? []].flat().includes(name));
        for (const one of tagged.length > 0 ? tagged : [name]) visit(one);
      }
    }
    if (tasks.size === 0) throw new RelufyError('option', 'tasks: expected at least one, got none. Name a task.');
    return { tasks: [...tasks.values()], groups: [...groups.values()] };
  }

  /** Gives the names that the file adds. */
  async #addFile(path: string): Promise<string[]> {
    const where = path.startsWith(builtInFolder) ? path.slice(builtInFolder.length) : path;
    const value = await readIncluding(where, path, []);
    if (!isRecord(value))
      throw new RelufyError('option', `${where}: expected a task, got ${show(value)}. Correct the file.`);
    if ('variants' in value) return this.#addVariants(where, value);
    if ('group' in value && Array.isArray(value.task)) return [this.#addGroup(where, value)];
    // a template of others, as lm-evaluation-harness keeps them beside its tasks
    if (!('task' in value)) return [];
    return [this.#addTask(readTask(where, value, dirname(resolve(path))))];
  }

  #addTask(task: TaskConfig): string {
    this.#tasks.set(task.task, task);
    return task.task;
  }

  #addGroup(where: string, value: unknown): string {
    const group = check(where, groupSchema, value);
    const list = [group.aggregate_metric_list ?? []].flat() as { weight_by_size?: boolean }[];
    this.#groups.set(group.group, {
      group: group.group,
      alias: group.group_alias ?? group.group,
      members: group.task,
      weightBySize: group.weight_by_size ?? list[0]?.weight_by_size ?? true,
      version: group.metadata?.version ?? 'N/A',
    });
    return group.group;
  }

  #addVariants(where: string, value: unknown): string[] {
    const { group, weight_by_size: weightBySize, metadata, variants } = check(where, variantsSchema, value);
    const version = metadata?.version ?? 'N/A';
    const add = (name: string) => this.#addTask(readTask(where, fillIn(variants.template, name)));
    const inner = Object.entries(variants.groups ?? {}).map(([name, names]) => {
      const alias = name.replace(`${group}_`, '').replaceAll('_', ' ');
      this.#groups.set(name, { group: name, alias, members: names.map(add), weightBySize, version });
      return name;
    });
    const members = [...inner, ...(variants.names ?? []).map(add)];
    this.#groups.set(group, { group, alias: group, members, weightBySize, version });
    return [group];
  }

  #suggest(name: string): string {
    const stem = name.slice(0, 4).toLowerCase();
    const close = [...this.groupNames, ...this.taskNames].filter((known) => known.startsWith(stem)).slice(0, 5);
    const some = close.length > 0 ? close : this.taskNames.filter((task) => !/^(mmlu|blimp)_/.test(task));
    return `Did you mean ${some.join(', ')}? Or name a YAML file.`;
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function check<T>(where: string, schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const { path, message } = firstIssue(parsed.error);
  throw new RelufyError('option', `${where} "${path}": ${message}. Correct the task file.`);
}

/** A task file over the file that it includes. */
async function readIncluding(
  where: string,
  path: string,
  outer: readonly string[],
  /** Each file is read once, however often others include it. */
  done = new Map<string, unknown>(),
): Promise<unknown> {
  if (done.has(path)) return done.get(path);
  if (outer.includes(path))
    throw new RelufyError('option', `${where}: expected an include that ends, got a circle. Correct the file.`);
  const refuse = (got: string, cause: unknown) =>
    new RelufyError('io', `${where}: expected a task file in UTF-8, got ${got}. Check the file.`, { cause });
  // a file that another one includes is a stranger's choice
  const bytes = await readNamedFile(path, { limitBytes: mostYamlBytes, onlyFiles: outer.length > 0, refuse });
  let text: string;
  try {
    text = decodeText(bytes);
  } catch (error) {
    throw refuse((error as Error).message, error);
  }
  const value = parseYaml(where, text, { tags: functionTag });
  if (!isRecord(value) || value.include === undefined) {
    done.set(path, value);
    return value;
  }
  const { include, ...own } = value;
  const files = [include].flat();
  let base: Record<string, unknown> = {};
  for (const file of files) {
    if (typeof file !== 'string')
      throw new RelufyError('option', `${where} "include": expected a file name, got ${show(file)}. Correct the file.`);
    const included = await readIncluding(file, join(dirname(path), file), [...outer, path], done);
    base = { ...base, ...(included as Record<string, unknown>) };
  }
  const whole = { ...base, ...own };
  done.set(path, whole);
  return whole;
}

/** A copy with `$name` and `$words` replaced in every text. */
function fillIn(value: unknown, name: string): unknown {
  if (typeof value === 'string') return value.replaceAll('$name', name).replaceAll('$words', name.replaceAll('_', ' '));
  if (Array.isArray(value)) return value.map((item) => fillIn(item, name));
  if (!isRecord(value) || value instanceof FunctionName) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fillIn(item, name)]));
}
