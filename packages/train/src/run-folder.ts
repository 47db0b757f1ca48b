// The folder of a run: its config, metrics as lines of JSON, a curve, and where tokens, checkpoints and the model lie.
// Owns refusing to go on with another config, and making the file that holds it anew from the checkpoints, which hold it
// too. Does not own checkpoints (run-checkpoint.ts).
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readNamedFileIfThere, toWriteError, writeAtomically } from '@relufy/checkpoint/node';
import { jsonText, RelufyError, show } from '@relufy/tensor';
import type { RunConfig } from './config.js';
import { inTodaysWords } from './config-names.js';
import { type CurvePoint, lossCurve } from './curve.js';
import { configInCheckpoint, findCheckpoint } from './run-checkpoint.js';

/** One line of metrics.jsonl: an optimiser step. */
export interface Metrics {
  readonly step: number;
  /** Tokens read so far. */
  readonly tokens: number;
  /** Mean cross-entropy of the step's scored tokens. */
  readonly loss: number;
  readonly perplexity: number;
  /** Mean divergence from the teacher. */
  readonly divergence?: number;
  readonly lambda?: number;
  /** What the L1 term adds to the loss. */
  readonly penalty?: number;
  readonly learningRate: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** Per layer: the share of what enters `down` that is not 0. */
  readonly density: readonly number[];
  readonly tokensPerSecond: number;
  readonly etaSeconds: number;
  readonly validationLoss?: number;
  readonly validationPerplexity?: number;
}

/** The first line of metrics.jsonl where there is held-out text: what the weights can do that the run begins with. */
export interface StartMetrics {
  readonly step: 0;
  readonly tokens: 0;
  readonly validationLoss: number;
  readonly validationPerplexity: number;
}

/** Keys that may change between a run and its resumption: they change no number of it. */
const free: ReadonlySet<string> = new Set([
  'out',
  'tokens',
  'checkpoint',
  'logEvery',
  'evaluation',
  'output',
  'gradientCheckpointing',
]);

const configFile = 'run.json';

type Known = Readonly<Record<string, unknown>>;

export class RunFolder {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /**
   * Of a folder that is there, a new one or that of an earlier run with the same config. `warn` hears of what had to be
   * repaired.
   * @throws RelufyError `option` when the config has changed; `io` when it cannot be told whether it has.
   */
  static async open(config: RunConfig, warn: (message: string) => void): Promise<RunFolder> {
    const folder = new RunFolder(config.out);
    const file = folder.path(configFile);
    const text = await readIfThere(file);
    const known = text === undefined ? undefined : configIn(text);
    if (known !== undefined) refuseChanges(file, known, config);
    else {
      const from = await folder.#configOfCheckpoint(file, text);
      if (from !== undefined) refuseChanges(from.path, from.config, config);
      await writeAtomically(file, `${JSON.stringify(config, null, 2)}\n`);
      if (text !== undefined)
        warn(
          `${file}: expected the run's config, got ${got(text)}. It was made anew${from ? ` from ${from.path}` : ''}.`,
        );
    }
    return folder;
  }

  path(name: string): string {
    return join(this.#root, name);
  }

  async log(metrics: Metrics | StartMetrics): Promise<void> {
    const file = this.path('metrics.jsonl');
    await appendFile(file, `${jsonText(metrics)}\n`).catch(toWriteError(file));
  }

  /** Takes out what was logged after a step, by a run that was killed before its next checkpoint. */
  async forgetAfter(step: number): Promise<void> {
    const kept = (await this.#metrics()).filter((metrics) => metrics.step <= step);
    await writeAtomically(this.path('metrics.jsonl'), kept.map((metrics) => `${jsonText(metrics)}\n`).join(''));
  }

  async drawCurve(): Promise<void> {
    const points: readonly CurvePoint[] = await this.#metrics();
    if (points.length > 0) await writeAtomically(this.path('loss.svg'), lossCurve(points));
  }

  async #metrics(): Promise<(Metrics | StartMetrics)[]> {
    const file = this.path('metrics.jsonl');
    const text = (await readIfThere(file)) ?? '';
    return text.split('\n').flatMap((line) => {
      try {
        const metrics = JSON.parse(line) as Metrics | StartMetrics | null;
        return typeof metrics?.step === 'number' ? [metrics] : [];
      } catch {
        return []; // the last line of a run that was killed
      }
    });
  }

  /** What the newest whole checkpoint says, in place of a `run.json` that is damaged or gone; undefined without any. */
  async #configOfCheckpoint(
    file: string,
    text: string | undefined,
  ): Promise<{ readonly path: string; readonly config: Known } | undefined> {
    const found = await findCheckpoint(this.path('checkpoints'));
    if (found === undefined) return undefined;
    const config = asConfig(await configInCheckpoint(found.path));
    if (config !== undefined) return { path: found.path, config };
    if (text === undefined) return undefined; // removed on purpose, as the error below advises
    throw new RelufyError(
      'io',
      `${file}: expected the run's config, got ${got(text)}. The checkpoints beside it are whole: keep the folder. If the config is the one that the run began with, remove this one file and start again: the run goes on from ${found.path}.`,
    );
  }
}

/** Of metrics, which have a line a step. */
const mostBytes = 2 ** 28;

async function readIfThere(file: string): Promise<string | undefined> {
  const refuse = (got: string, cause: unknown) =>
    new RelufyError('io', `${file}: expected a readable file, got ${got}. Check its rights.`, { cause });
  const bytes = await readNamedFileIfThere(file, { limitBytes: mostBytes, onlyFiles: true, refuse });
  return bytes && new TextDecoder().decode(bytes);
}

function configIn(text: string): Known | undefined {
  try {
    return asConfig(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Only what says what a run was is a config: `{}`, a list or another file's object is not. */
function asConfig(value: unknown): Known | undefined {
  const isConfig =
    typeof value === 'object' && value !== null && 'model' in value && 'data' in value && 'steps' in value;
  return isConfig ? (inTodaysWords(value) as Known) : undefined;
}

const got = (text: string): string => (text === '' ? 'an empty file' : show(text.slice(0, 40)));

function refuseChanges(file: string, before: Known, now: RunConfig): void {
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
  for (const key of keys) {
    const [was, is] = [before[key], now[key as keyof RunConfig]].map((value) => JSON.stringify(value));
    if (was !== is && !free.has(key))
      throw new RelufyError(
        'option',
        `${file} "${key}": expected the config that the run began with, ${show(before[key])}, got ${show(now[key as keyof RunConfig])}. Change it back, or choose another out.`,
      );
  }
}
