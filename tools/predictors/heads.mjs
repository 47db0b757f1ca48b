// Heads of attention as masks at the input of `o`: what perplexity rises by when only the k loudest heads of a token are kept, or
// always the same ones, how well a linear predictor of the block's input would know them, and what a token would not read.
//
//   node tools/predictors/heads.mjs [--models NAME,...] [--threads N]
//
// Writes the tables of docs/experiments/heads.md. Does not own masks (@relufy/models), nor the words around the tables.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadModel, openModelFiles, perplexity } from '@relufy/models';
import { planFolder } from '@relufy/predictor';
import { markdownTable, percent, writeResults } from '../measuring/pages.mjs';
import { placeOf, root, storedIds, windowsOf } from '../measuring/texts.mjs';

const { values } = parseArgs({ options: { models: { type: 'string' }, threads: { type: 'string', default: '1' } } });

/** Tokens of a window; windows that predictors and static heads are fitted to; windows after them that judge. */
const [window, fitted, judged] = [256, 16, 16];
const shares = [0.75, 0.5, 0.25];
/** Added to the diagonal of the inputs' products, over their mean: inputs that hardly vary tell nothing. */
const ridge = 1e-3;

const models = {
  'llama-tales': 'gated ReLU, 8 heads, 4 of keys and values',
  'opt-tales': 'plain ReLU, 6 heads',
  'falcon-tales': 'plain GELU, 6 heads',
};

const sum = (/** @type {ArrayLike<number>} */ list) => Array.from(list).reduce((all, one) => all + one, 0);

/** Of the windows, layer by layer: block inputs and how loud each head is, sum of |x| over its channels. */
async function captured(model, windows) {
  const { numHiddenLayers, mixer } = model.spec;
  const { numAttentionHeads: heads, headDim } = mixer;
  const layers = Array.from({ length: numHiddenLayers }, () => ({ inputs: [], loud: [] }));
  const taps = layers.flatMap((_, layer) => [`qkv.${layer}`, `o.${layer}`]);
  for (const ids of windows) {
    const { captured: found } = await model.forward(ids, { capture: taps });
    for (const [layer, own] of layers.entries()) {
      const [x, o] = [found[`qkv.${layer}`], found[`o.${layer}`]];
      const width = x.length / ids.length;
      for (let row = 0; row < ids.length; row++) {
        own.inputs.push(x.subarray(row * width, (row + 1) * width));
        const loud = new Float64Array(heads);
        for (let head = 0; head < heads; head++)
          for (let c = 0; c < headDim; c++) loud[head] += Math.abs(o[(row * heads + head) * headDim + c]);
        own.loud.push(loud);
      }
    }
  }
  return layers;
}

/** Least squares: one row of weights a head, the last one its constant. */
function linearFit(inputs, loud) {
  const [width, heads] = [inputs[0].length + 1, loud[0].length];
  const gram = new Float64Array(width * width);
  const right = new Float64Array(width * heads);
  const at = (x, i) => (i < width - 1 ? x[i] : 1);
  for (const [row, x] of inputs.entries())
    for (let i = 0; i < width; i++) {
      const xi = at(x, i);
      for (let j = 0; j <= i; j++) gram[i * width + j] += xi * at(x, j);
      for (let head = 0; head < heads; head++) right[i * heads + head] += xi * loud[row][head];
    }
  let trace = 0;
  for (let i = 0; i < width; i++) trace += gram[i * width + i];
  for (let i = 0; i < width; i++) gram[i * width + i] += (ridge * trace) / width;
  // Cholesky, then forwards and backwards
  for (let i = 0; i < width; i++)
    for (let j = 0; j <= i; j++) {
      let rest = gram[i * width + j];
      for (let k = 0; k < j; k++) rest -= gram[i * width + k] * gram[j * width + k];
      gram[i * width + j] = i === j ? Math.sqrt(rest) : rest / gram[j * width + j];
    }
  for (let head = 0; head < heads; head++) {
    for (let i = 0; i < width; i++) {
      for (let k = 0; k < i; k++) right[i * heads + head] -= gram[i * width + k] * right[k * heads + head];
      right[i * heads + head] /= gram[i * width + i];
    }
    for (let i = width - 1; i >= 0; i--) {
      for (let k = i + 1; k < width; k++) right[i * heads + head] -= gram[k * width + i] * right[k * heads + head];
      right[i * heads + head] /= gram[i * width + i];
    }
  }
  return (x) =>
    Float64Array.from({ length: heads }, (_, head) => {
      let score = 0;
      for (let i = 0; i < width; i++) score += at(x, i) * right[i * heads + head];
      return score;
    });
}

const loudest = (scores, k) => [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, k);

/** Share of the k loudest heads that a guess names. */
function found(loud, k, guess) {
  let [hits, all] = [0, 0];
  for (const [row, own] of loud.entries()) {
    const guessed = guess(row);
    if (guessed === undefined) continue;
    const named = new Set(loudest(guessed, k));
    hits += loudest(own, k).filter((head) => named.has(head)).length;
    all += k;
  }
  return hits / all;
}

async function measure(name) {
  const place = placeOf(`shared/models/${name}`);
  if (!existsSync(place)) return [];
  const files = await openModelFiles(place);
  const load = { dtype: 'f32', threads: Number(values.threads) };
  const model = await loadModel(files, load);
  const { numHiddenLayers, mixer, hiddenSize, ffn, intermediateSize } = model.spec;
  const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = mixer;
  const windows = windowsOf(storedIds(`shared/models/${name}/valid-ids.u16`), fitted + judged, window);
  const [first, second] = [windows.slice(0, fitted), windows.slice(fitted)];
  const dense = await perplexity(model, second);
  const [seen, unseen] = [await captured(model, first), await captured(model, second)];
  await model.dispose();
  const fits = seen.map(({ inputs, loud }) => linearFit(inputs, loud));
  const means = seen.map(({ loud }) => Float64Array.from({ length: heads }, (_, h) => sum(loud.map((one) => one[h]))));
  const each = (value) => Array(numHiddenLayers).fill(value);
  const judge = async (plan, tensors = new Map()) => {
    const planned = await loadModel(files, { ...load, plan: await planFolder({ plan, tensors }) });
    return perplexity(planned, second).finally(() => planned.dispose());
  };
  const mean = (list) => sum(list) / list.length;
  const matrices =
    (2 * heads + 2 * kvHeads) * headDim * hiddenSize + (ffn.kind === 'gated' ? 3 : 2) * hiddenSize * intermediateSize;
  const rows = [];
  for (const share of shares) {
    const k = Math.max(1, Math.round(share * heads));
    const own = await judge({ method: 'heads', masks: [{ at: ['o'], kind: 'top', k: each(k), groupSize: headDim }] });
    const tensors = new Map(
      means.map((scores, layer) => {
        const kept = new Set(loudest(scores, k));
        const values = Float32Array.from({ length: heads * headDim }, (_, c) =>
          kept.has(Math.floor(c / headDim)) ? -1 : Number.POSITIVE_INFINITY,
        );
        return [`layers.${layer}.o.threshold`, { shape: [heads * headDim], values }];
      }),
    );
    const fixed = await judge(
      { method: 'heads', masks: [{ at: ['o'], kind: 'magnitude', perChannel: true }] },
      tensors,
    );
    const known = (guess) => mean(unseen.map(({ loud }, layer) => found(loud, k, guess(layer))));
    const left = 1 - k / heads;
    const rise = (value) => `${value.toFixed(2)} (${percent(value / dense - 1)})`;
    rows.push([
      `${k} of ${heads}`,
      rise(own),
      rise(fixed),
      percent(known((layer) => (row) => fits[layer](unseen[layer].inputs[row]))),
      percent(known((layer) => (row) => (row % window === 0 ? undefined : unseen[layer].loud[row - 1]))),
      percent(known((layer) => () => means[layer])),
      percent((left * heads * headDim * hiddenSize) / matrices),
      percent((2 * left * heads * headDim * hiddenSize) / matrices),
    ]);
    process.stdout.write(`${name}: ${rows.at(-1)?.join(', ')}\n`);
  }
  const head = [
    'heads kept',
    'perplexity, the loudest',
    'always the same',
    'known: by a linear predictor',
    'by the token before',
    'by the mean',
    'not read: of o',
    'of q and o',
  ];
  return [markdownTable({ title: `${name}: ${models[name]}, perplexity ${dense.toFixed(2)} with all`, head, rows })];
}

const tables = [];
for (const name of values.models?.split(',') ?? Object.keys(models)) tables.push(...(await measure(name)));
if (values.models === undefined)
  writeResults(
    join(root, 'docs/experiments/heads.md'),
    { start: '<!-- written by tools/predictors/heads.mjs -->', end: '<!-- end -->' },
    tables,
  );
