// The teacher of a distillation: the likeliest tokens of another model at every scored position of a part.
// Does not own the divergence (the op crossEntropy) or its weight (run.ts).
import type { Model } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import type { Sequence } from './data/sequences.js';
import type { TeacherPart } from './session.js';

/** Asks the teacher about the sequences of a part, whose outputs are their scored tokens in order. */
export async function askTeacher(
  teacher: Model,
  sequences: readonly Sequence[],
  tokens: number,
  weight: number,
): Promise<TeacherPart> {
  const ids: number[] = [];
  const logprobs: number[] = [];
  for (const sequence of sequences) {
    const { logits, shape } = await teacher.forward(sequence.ids.subarray(0, -1), { logits: 'all' });
    const [rows, vocabSize] = shape;
    for (let row = 0; row < rows; row++) {
      if (sequence.mask[row + 1] !== 1) continue;
      const best = likeliest(logits.subarray(row * vocabSize, (row + 1) * vocabSize), tokens);
      ids.push(...best.ids);
      logprobs.push(...best.logprobs);
    }
  }
  return {
    ids: Int32Array.from(ids),
    logprobs: Float32Array.from(logprobs),
    weights: new Float32Array(ids.length / tokens).fill(weight),
  };
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

export function checkTeacher(teacher: Model, vocabSize: number): void {
  if (teacher.spec.vocabSize !== vocabSize)
    throw new RelufyError(
      'option',
      `distillation teacher ${teacher.name}: expected a vocabulary of ${vocabSize}, got ${teacher.spec.vocabSize}. Choose the model that the student was made from.`,
    );
}
