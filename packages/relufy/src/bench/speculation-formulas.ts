// The formulas of sparse speculative decoding (ReLU Strikes Back, 5.2, theorems 1 and 2) beside what was measured, as a table
// of the bench. Does not own the formulas and their measurement (@relufy/sparsity).
import type { Model, SpeculateOptions } from '@relufy/models';
import { measureSpeculation, overDenseSpeculation } from '@relufy/sparsity';
import type { Table } from './report.js';

const prompt = 'Once upon a time there was a fox who liked the sea. The fox who liked the sea';

export async function formulaTable(
  model: Model,
  drafts: Readonly<Record<string, SpeculateOptions['draft']>>,
  gammas: readonly number[],
  rounds: number,
): Promise<Table> {
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const two = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? '' : value.toFixed(2));
  const rows: (string | number)[][] = [];
  const tokens = 96;
  for (const [name, draft] of Object.entries(drafts)) {
    const { points } = await measureSpeculation(model, { draft, gammas, prompt, tokens, rounds });
    for (const { gamma, acceptance, c, unread, unreadOne, unreadRandom, predicted, timed } of points)
      rows.push([
        ...[name, gamma, percent(acceptance), c.toFixed(3), percent(unreadOne), percent(unread), percent(unreadRandom)],
        two(predicted.overDenseSpeculation),
        two(overDenseSpeculation({ gamma, c, unread: unreadRandom })),
        two(timed.overDenseSpeculation),
        two(predicted.overDense),
        two(timed.overDense),
        two(predicted.overSparse),
        two(timed.overSparse),
      ]);
  }
  return {
    title: `Formulas and figures of ${model.name}`,
    note: `${tokens} greedy tokens, always gamma drafted where there is a draft. Unread: share of all weights, by one token, by a verifying step together, by independent sets as large. S1: over speculation with a dense target; S2: over a dense target; S3: over the sparse target by itself. The formulas take time for weights read, which it is not for a model that fits into a cache.`,
    columns: [
      ...['draft', 'gamma', 'acceptance', 'c', 'unread by one', 'together', 'if independent'],
      ...['S1', 'S1 if independent', 'S1 timed', 'S2', 'S2 timed', 'S3', 'S3 timed'],
    ],
    rows,
  };
}
