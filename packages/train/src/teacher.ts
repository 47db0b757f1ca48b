// The teacher of a distillation: the likeliest tokens of another model at every scored position of a part. It runs
// alongside, or answers from disk what it was asked before, and is loaded only when something new is asked.
// Does not own the divergence (the op crossEntropy), its weight (run.ts) or the files (teacher-answers.ts).
import { createHash } from 'node:crypto';
import { type ModelFiles, openCheckpoint } from '@relufy/checkpoint';
import { fingerprint, type Model, parseConfig } from '@relufy/models';
import { parseJson, RelufyError } from '@relufy/tensor';
import type { Sequence } from './data/sequences.js';
import type { TeacherPart } from './session.js';
import type { OpenModel } from './start-model.js';
import { type Answer, TeacherAnswers } from './teacher-answers.js';

export interface TeacherOptions {
  readonly source: string;
  /** Likeliest tokens that are told apart. */
  readonly tokens: number;
  /** Of the student. */
  readonly vocabSize: number;
  /** Where answers are kept; absent: nowhere. */
  readonly cache?: string;
  readonly open: OpenModel;
  readonly load: (source: string) => Promise<Model>;
}

export class Teacher {
  readonly #options: TeacherOptions;
  readonly #answers: TeacherAnswers | undefined;
  #model: Model | undefined;

  private constructor(options: TeacherOptions, answers: TeacherAnswers | undefined) {
    this.#options = options;
    this.#answers = answers;
  }

  /** @throws RelufyError for a model that cannot be found, or has another vocabulary than the student. */
  static async open(options: TeacherOptions): Promise<Teacher> {
    const { cache, open, source, tokens } = options;
    const answers =
      cache === undefined ? undefined : await TeacherAnswers.open(cache, await nameOf(await open(source)), tokens);
    const teacher = new Teacher(options, answers);
    if (answers === undefined) await teacher.#load();
    return teacher;
  }

  /** About the sequences of a part, whose outputs are their scored tokens in order. */
  async ask(sequences: readonly Sequence[], weight: number): Promise<TeacherPart> {
    const answers: Answer[] = [];
    for (const sequence of sequences) answers.push(await this.#answer(sequence));
    const ids = Int32Array.from(answers.flatMap((answer) => [...answer.ids]));
    return {
      ids,
      logprobs: Float32Array.from(answers.flatMap((answer) => [...answer.logprobs])),
      weights: new Float32Array(ids.length / this.#options.tokens).fill(weight),
    };
  }

  async dispose(): Promise<void> {
    await this.#model?.dispose();
    await this.#answers?.close();
  }

  async #answer(sequence: Sequence): Promise<Answer> {
    const known = await this.#answers?.get(sequence);
    if (known) return known;
    const answer = await answerOf(await this.#load(), sequence, this.#options.tokens);
    await this.#answers?.add(sequence, answer);
    return answer;
  }

  async #load(): Promise<Model> {
    const { load, source, vocabSize } = this.#options;
    this.#model ??= await load(source);
    const { name, spec } = this.#model;
    if (spec.vocabSize !== vocabSize)
      throw new RelufyError(
        'option',
        `distillation teacher ${name}: expected a vocabulary of ${vocabSize}, got ${spec.vocabSize}. Choose the model that the student was made from.`,
      );
    return this.#model;
  }
}

/** Of the folder of a teacher's answers: they depend on all that config.json says, and on the weights. */
async function nameOf(files: ModelFiles): Promise<string> {
  const text = (await files.readText('config.json')) ?? '{}';
  const checkpoint = await openCheckpoint(files);
  try {
    const print = await fingerprint(parseConfig(parseJson(text) as Record<string, unknown>).spec, checkpoint);
    return createHash('sha256').update(text).update(print).digest('hex').slice(0, 16);
  } finally {
    await checkpoint.close();
  }
}

async function answerOf(teacher: Model, sequence: Sequence, tokens: number): Promise<Answer> {
  const { logits, shape } = await teacher.forward(sequence.ids.subarray(0, -1), { logits: 'all' });
  const [rows, vocabSize] = shape;
  const ids: number[] = [];
  const logprobs: number[] = [];
  for (let row = 0; row < rows; row++) {
    if (sequence.mask[row + 1] !== 1) continue;
    const best = likeliest(logits.subarray(row * vocabSize, (row + 1) * vocabSize), tokens);
    ids.push(...best.ids);
    logprobs.push(...best.logprobs);
  }
  return { ids: Int32Array.from(ids), logprobs: Float32Array.from(logprobs) };
}

/** The tokens of the largest logits, ties to the lower id, with their log-probabilities. */
export function likeliest(logits: Float32Array, tokens: number): { ids: Int32Array; logprobs: Float64Array } {
  let top = Number.NEGATIVE_INFINITY;
  for (const logit of logits) top = Math.max(top, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  const logSum = top + Math.log(sum);
  const ids = new Int32Array(Math.min(tokens, logits.length));
  let count = 0;
  logits.forEach((logit, id) => {
    if (count === ids.length && logit <= (logits[ids[count - 1] as number] as number)) return;
    let at = count < ids.length ? count++ : count - 1;
    for (; at > 0 && (logits[ids[at - 1] as number] as number) < logit; at--) ids[at] = ids[at - 1] as number;
    ids[at] = id;
  });
  return { ids, logprobs: Float64Array.from(ids, (id) => (logits[id] as number) - logSum) };
}
