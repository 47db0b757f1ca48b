// The public sparse models as text: a table for the terminal, and the page docs/models.md, which a test holds against
// what this gives. Does not own the data (sparse-models.ts) nor the arithmetic (sparse-bytes.ts).
import { readyMadePlans } from '@relufy/predictor/plans';
import { bytesPerToken, type TokenBytes } from './sparse-bytes.js';
import { type SparseModel, sparseModels } from './sparse-models.js';

/** Taken where no density is published, and marked. */
export const assumedDensity = 0.1;

export interface SparseModelRow {
  readonly model: SparseModel;
  readonly down: number;
  /** The density is an assumption. */
  readonly assumed: boolean;
  readonly int8: TokenBytes;
  readonly int4: TokenBytes;
}

export function sparseModelRows(): readonly SparseModelRow[] {
  return sparseModels.map((model) => {
    const density = model.density ?? { down: assumedDensity };
    return {
      model,
      down: density.down,
      assumed: model.density === undefined,
      int8: bytesPerToken(model.config, 'int8', density),
      int4: bytesPerToken(model.config, 'int4', density),
    };
  });
}

/** `4.29 GB` */
export function size(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const share = (density: number): string => `${Math.round(100 * density)} %`;
const times = ({ speedup }: TokenBytes): string => `${speedup.toFixed(2)}x`;
export const billions = ({ parameters }: Pick<TokenBytes, 'parameters'>): string =>
  parameters >= 1e9 ? `${(parameters / 1e9).toFixed(1)} G` : `${(parameters / 1e6).toFixed(0)} M`;

function activeOf({ assumed, down, model }: SparseModelRow): string {
  if (assumed) return `? (${share(down)})`;
  return model.evidence === 'similar' ? `~${share(down)}` : share(down);
}

const widthsOf = (lines: readonly (readonly string[])[]): number[] =>
  (lines[0] ?? []).map((_, column) => Math.max(...lines.map((line) => (line[column] as string).length)));

/** For the terminal: one line a model. */
export function modelsTable(): string {
  const head = ['model', 'size', 'active', 'int8 reads', 'int4 reads', 'bytes allow', 'licence'];
  const lines = sparseModelRows().map((row) => [
    row.model.id,
    billions(row.int8),
    activeOf(row),
    `${size(row.int8.sparse)} of ${size(row.int8.dense)}`,
    `${size(row.int4.sparse)} of ${size(row.int4.dense)}`,
    times(row.int8),
    row.model.licence,
  ]);
  return [
    textTable(head, lines),
    '',
    `active: share of neurons that are not zero for a token; ~ as in models made alike; ? nobody has published it, ${share(assumedDensity)} taken.`,
    'reads: weights that one token reads at that density, of all. Details and sources: docs/models.md, relufy models --json.',
  ].join('\n');
}

/** Columns side by side. */
export function textTable(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = widthsOf([head, ...lines]);
  const format = (line: readonly string[]) =>
    line
      .map((cell, i) => cell.padEnd(widths[i] as number))
      .join('  ')
      .trimEnd();
  return [head, ...lines].map(format).join('\n');
}

/** In Markdown, columns aligned as the formatter aligns them. */
function table(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = widthsOf([head, ...lines]);
  const format = (line: readonly string[]) =>
    `| ${line.map((cell, i) => cell.padEnd(widths[i] as number)).join(' | ')} |`;
  return [head, widths.map((width) => '-'.repeat(width)), ...lines].map(format).join('\n');
}

/** docs/models.md. */
export function modelsPage(): string {
  const rows = sparseModelRows();
  const bytes = table(
    [
      'model',
      'parameters',
      'active neurons',
      'int8: a token reads',
      'bytes allow',
      'int4: a token reads',
      'bytes allow',
    ],
    rows.map((row) => [
      `\`${row.model.id}\``,
      billions(row.int8),
      activeOf(row),
      `${size(row.int8.sparse)} of ${size(row.int8.dense)}`,
      times(row.int8),
      `${size(row.int4.sparse)} of ${size(row.int4.dense)}`,
      times(row.int4),
    ]),
  );
  const sources = table(
    ['model', 'density from', 'licence', 'note'],
    rows.map(({ model }) => [
      `\`${model.id}\``,
      `${model.evidence === 'none' ? '' : `${model.evidence}: `}${model.source}`,
      model.licence,
      model.note ?? '',
    ]),
  );
  const plans = table(
    ['plan', 'for', 'method', 'weights of the blocks skipped', 'perplexity, dense', 'with the plan'],
    readyMadePlans.map(({ name, model, method, sparsity, cost }) => [
      ...[`\`${name}\``, `\`${model}\``, method, share(sparsity)],
      ...[cost.densePerplexity.toFixed(2), cost.perplexity.toFixed(2)],
    ]),
  );
  return `${intro}\n\n${bytes}\n\n${reading}\n\n## Sources and licences\n\n${sources}\n\n${withPlans}\n\n${plans}\n\n${running}\n`;
}

const intro = `# Models that are sparse today

These public checkpoints have exact zeros in their feed-forward layers as they were published: nothing has to be
relufied. Relufy skips the weights behind the zeros; the answer is the one of the dense computation, bit for bit.

This page is made from \`packages/relufy/src/sparse-models.ts\`, as is \`relufy models\`; \`relufy models --json\` gives all
of it. After a change there, \`npx vitest run packages/relufy/src/models-page.test.ts -u\` writes it anew.`;

const reading = `**Active neurons**: the share that is not zero for one token, over all layers. \`~\`: measured on models made alike.
\`?\`: nobody has published it; the numbers beside it are what 10 % would give. **Bytes allow**: all weights that a
dense token reads over those that a sparse one reads. Decoding is bound by reading weights, so this bounds the speed-up;
it is not a measurement. A plain FFN saves at its down projection, a gated one at up and down; attention, the gate (of a
plain FFN: up) and the head are always read.

\`relufy generate --json\` and \`model.stats()\` say what is active on your own text; \`relufy inspect MODEL\` says where a
model is sparse, from its headers alone.`;

const withPlans = `## Ready-made plans

A model with SiLU or GELU has no zeros. A [sparsity plan](plans.md) makes them, at a price; these come with the packages. They were
made as [calibrate.md](calibrate.md) tells, in int8, and are taken by the model in every weight format, so also by the bundled
\`smollm2-135m-instruct\`: \`relufy chat --model HuggingFaceTB/SmolLM2-135M-Instruct --plan smollm2-135m-instruct-teal-40\`.
Perplexity is of ${readyMadePlans[0]?.cost.text ?? ''}, with every token sparse. What a plan saves in time depends on the machine, and is not stated
here yet; it bounds it that the head, a fifth of the bytes of a token, is read whole.`;

const running = `## Running one

\`\`\`sh
relufy chat --model arcee-ai/AFM-4.5B --dtype int8
relufy generate --model SparseLLM/prosparse-llama-2-7b --dtype int4 --prompt "Once upon a time"
\`\`\`

\`\`\`ts
const model = await loadModel('PowerInfer/SparseQwen2-7B', { dtype: 'int8', relufy: { stage: 1, activateUp: true } });
\`\`\`

The first run downloads the checkpoint. \`relufy convert MODEL --dtype int8 --out FOLDER\` keeps the int8 weights, which
then load at once. GGUF files of arcee, nemotron, jais2, minicpm, bitnet, qwen2, qwen3, smollm3, stablelm, gptneox,
llama and falcon are read and written; llama.cpp computes each architecture's own activation, whatever the model was
made with. A quantised one keeps its width in memory (Q4_0 as int4, Q4_1 as uint4, the others as int8), unless \`dtype\` says otherwise.
Of the models above it runs those of arcee, nemotron (not Minitron-8B, whose heads are wider than its hidden
size) and jais2 right, and reads all of their weights.`;
