// Held-out evaluation: the mean cross-entropy of scored tokens over the first sequences of each source.
// Does not own how they are made (data/).
import { TokenLoss } from '@relufy/models';
import { partOf, takeSequences } from './data/parts.js';
import type { Sequence, SequenceSource } from './data/sequences.js';
import type { TrainingSession } from './session.js';
import type { TrainingStepOptions } from './training-step.js';

/** The same sequences every time, in order, at most `sequences` in all. */
export async function evaluate(
  session: TrainingSession,
  sources: readonly SequenceSource[],
  sequences: number,
  { limits, slots, contextLength }: TrainingStepOptions,
  /** Hears the share that is done. */
  onProgress?: (share: number) => void,
): Promise<number> {
  const chosen: Sequence[] = [];
  for (let index = 0; chosen.length < sequences && sources.some(({ count }) => index < count); index++)
    for (const source of sources) if (index < source.count && chosen.length < sequences) chosen.push(source.at(index));
  const loss = new TokenLoss();
  let at = 0;
  while (at < chosen.length) {
    const next = () => chosen[at++] as Sequence;
    const left = { maxRows: limits.maxRows, slots: Math.min(slots, chosen.length - at), contextLength };
    loss.add(await session.score(partOf(takeSequences(next, left), 1)), 0);
    onProgress?.(at / chosen.length);
  }
  return loss.mean;
}
