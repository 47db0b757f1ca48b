// Who guesses the next tokens: the text itself, the model by some of its neurons, or a smaller model. A guess is each time
// the likeliest token; what is wrong with it costs time and never changes an answer.
// Does not own the search in the text (prompt-lookup.ts) nor what becomes of guesses (speculation.ts).
import { RelufyError, show } from '@relufy/tensor';
import { argmax, logSumExp } from '../generation/sampling.js';
import type { Model } from '../model.js';
import type { Lane } from '../running/scheduler.js';
import { lookUp } from './prompt-lookup.js';

export interface Drafter {
  /** What has to be done once, before the first draft, and is not counted as its time: reading the prompt. */
  prepare?(ids: readonly number[]): Promise<void>;
  /** Up to `most` tokens that may follow; none: no guess. `bytes` of weights were read for them. */
  draft(ids: readonly number[], most: number): Promise<Draft> | Draft;
  /** No more is asked of it. */
  close(): void;
}

export interface Draft {
  readonly tokens: readonly number[];
  /** Of weights outside the model that verifies, which counts its own. */
  readonly bytes: number;
}

/** A lane of a model that drafts for another one, and what its disposal waits for. */
export interface DraftLane {
  readonly lane: Lane;
  readonly contextLength: number;
  readonly track: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Below this probability a guess ends the draft (as in Hugging Face's assisted generation). */
const leastConfidence = 0.4;

export const promptDrafter: Drafter = {
  draft: (ids, most) => ({ tokens: lookUp(ids, most), bytes: 0 }),
  close: () => {},
};

/** The likeliest token after each of `most` steps, as long as they are likely. */
async function guess(
  ids: readonly number[],
  most: number,
  vocabSize: number,
  step: (ids: readonly number[]) => Promise<Float32Array | undefined>,
): Promise<readonly number[]> {
  const all = [...ids];
  while (all.length < ids.length + most) {
    const logits = await step(all);
    if (logits === undefined) break;
    const id = argmax(logits);
    if (id >= vocabSize) break;
    all.push(id);
    if ((logits[id] as number) - logSumExp(logits) < Math.log(leastConfidence)) break;
  }
  return all.slice(ids.length);
}

/** The model that verifies, by its program that drafts: in the same slot, whose keys and values verification writes anew. */
export function selfDrafter(lane: Lane, vocabSize: number): Drafter {
  return {
    draft: async (ids, most) => {
      const draftsFrom = ids.length - 1;
      const step = async (all: readonly number[]) => (await lane.advance(all, { draftsFrom }))?.rows[0]?.logits;
      return { tokens: await guess(ids, most, vocabSize, step), bytes: 0 };
    },
    close: () => {},
  };
}

/** Tokens of an answer that the smaller model may have missed and still computes in one counted step. */
const catchUp = 16;

/** A smaller model, in a lane of its own. It drafts while it has nothing else to do: nobody waits for a guess. */
export function modelDrafter({ lane, contextLength, track }: DraftLane, vocabSize: number): Drafter {
  const draft = async (ids: readonly number[], most: number): Promise<Draft> => {
    let bytes = 0;
    const step = async (all: readonly number[]) => {
      const missed = all.length - 1 - Math.min(lane.computed(all), all.length - 1);
      const drafted = missed <= Math.min(catchUp, lane.mostDrafted) ? missed : 0;
      const done = await lane.advance(all, { drafted });
      bytes += done?.together?.bytes ?? done?.costs[0]?.bytes ?? 0;
      return done?.rows.at(-1)?.logits;
    };
    const room = Math.min(most, contextLength - ids.length + 1);
    const tokens = lane.isAlone ? await guess(ids, room, vocabSize, step) : [];
    lane.rest();
    return { tokens, bytes };
  };
  const read = async (ids: readonly number[]): Promise<void> => {
    if (ids.length > 1 && ids.length - 1 <= contextLength) await lane.advance(ids.slice(0, -1));
    lane.rest();
  };
  return {
    prepare: (ids) => track(() => read(ids)),
    draft: (ids, most) => track(() => draft(ids, most)),
    close: () => lane.leave(),
  };
}

/** Pairs that were found to have the same tokens. */
const compared = new WeakMap<Model, WeakSet<Model>>();

/**
 * Ids of the two models mean the same tokens.
 * @throws RelufyError `option` that names the first that does not.
 */
export function checkVocabulary(target: Model, draft: Model): void {
  if (compared.get(target)?.has(draft)) return;
  const fail = (expected: string, got: string): never => {
    throw new RelufyError(
      'option',
      `generate speculate "draft": expected ${expected}, got ${got}. Take a draft model of the same family.`,
    );
  };
  const [own, other] = [target.tokenizer, draft.tokenizer];
  if (own === undefined || other === undefined) {
    if (target.spec.vocabSize !== draft.spec.vocabSize)
      fail(`a model of ${target.spec.vocabSize} tokens`, `${draft.name} of ${draft.spec.vocabSize}`);
  } else {
    const last = Math.min(target.spec.vocabSize, draft.spec.vocabSize);
    for (let id = 0; id < last; id++) {
      const [a, b] = [own.idToToken(id), other.idToToken(id)];
      if (a !== b)
        fail(
          `a model of the same vocabulary as ${target.name}, whose token ${id} is ${show(a)}`,
          `${draft.name}, where it is ${show(b)}`,
        );
    }
  }
  const known = compared.get(target) ?? new WeakSet();
  known.add(draft);
  compared.set(target, known);
}
