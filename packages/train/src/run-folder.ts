// The folder of a run: its config, metrics as lines of JSON, a curve, and where tokens, checkpoints and the model lie.
// Owns refusing to go on with another config. Does not own checkpoints (run-checkpoint.ts).
import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toWriteError } from '@relufy/checkpoint/node';
import { RelufyError, show } from '@relufy/tensor';
import type { RunConfig } from './config.js';
import { type CurvePoint, lossCurve } from './curve.js';

/** One line of metrics.jsonl. */
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

/** Keys that may change between a run and its resumption: they change no number of it. */
const free: ReadonlySet<string> = new Set([
  'out',
  'tokens',
  'checkpoint',
  'logEvery',
  'evaluation',
  'output',
  'recompute',
]);

export class RunFolder {
  readonly #root: string;

  private constructor(root: string) {
    this.#root = root;
  }

  /**
   * Makes the folder, or takes up the one of an earlier run with the same config.
   * @throws RelufyError `option` when the config has changed.
   */
  static async open(config: RunConfig): Promise<RunFolder> {
    const file = join(config.out, 'run.json');
    await mkdir(config.out, { recursive: true }).catch(toWriteError(config.out));
    const text = await readFile(file, 'utf8').catch(() => undefined);
    if (text !== undefined) refuseChanges(file, parse(file, text), config);
    else await writeFile(file, `${JSON.stringify(config, null, 2)}\n`).catch(toWriteError(file));
    return new RunFolder(config.out);
  }

  path(name: string): string {
    return join(this.#root, name);
  }

  async log(metrics: Metrics): Promise<void> {
    const file = this.path('metrics.jsonl');
    await appendFile(file, `${JSON.stringify(metrics)}\n`).catch(toWriteError(file));
  }

  /** Takes out what was logged behind a step, by a run that was killed before its next checkpoint. */
  async forgetBehind(step: number): Promise<void> {
    const file = this.path('metrics.jsonl');
    const kept = (await this.#metrics()).filter((metrics) => metrics.step <= step);
    const temporary = `${file}.tmp`;
    await writeFile(temporary, kept.map((metrics) => `${JSON.stringify(metrics)}\n`).join('')).catch(
      toWriteError(file),
    );
    await rename(temporary, file).catch(toWriteError(file));
  }

  async drawCurve(): Promise<void> {
    const points: readonly CurvePoint[] = await this.#metrics();
    const file = this.path('loss.svg');
    if (points.length > 0) await writeFile(file, lossCurve(points)).catch(toWriteError(file));
  }

  async #metrics(): Promise<Metrics[]> {
    const text = await readFile(this.path('metrics.jsonl'), 'utf8').catch(() => '');
    return text.split('\n').flatMap((line) => {
      try {
        return line === '' ? [] : [JSON.parse(line) as Metrics];
      } catch {
        return []; // the last line of a run that was killed
      }
    });
  }
}

function parse(file: string, text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RelufyError('io', `${file}: expected JSON, got ${show(text.slice(0, 40))}. Remove the folder.`, {
      cause,
    });
  }
}

function refuseChanges(file: string, before: Readonly<Record<string, unknown>>, now: RunConfig): void {
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
