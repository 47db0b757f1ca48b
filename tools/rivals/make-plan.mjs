// Sparsity plans for a synthetic model, as folders that `loadModel` takes: masks at the inputs of every projection, whose
// thresholds are quantiles of what the dense model feeds them, and a predictor made of the gate's own factors.
// Owns the two files of a plan. What is there already is kept.
import { existsSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createBackend } from './engines/relufy.mjs';
import { importCheckpoint, importModels, importNative } from './relufy-packages.mjs';
import { gateFactors, rank } from './synthetic-weights.mjs';

const log = (/** @type {string} */ line) => process.stderr.write(`${line}\n`);

/** The tap of the dense model that shows what goes into a place. */
const taps = { q: 'qkv', k: 'qkv', v: 'qkv', o: 'o', gate: 'upGate', up: 'upGate', down: 'down' };
/** By so much of a standard deviation the predictor's bar lies below the gate's, for the rounding of its weights. */
const margin = 0.05;

/**
 * A magnitude mask of its own before every projection, which keeps `density` of its inputs.
 * @param {string} folder @param {string} model dense @param {import('./shapes.mjs').Shape} shape @param {number} density
 */
export async function makeInputPlan(folder, model, shape, density) {
  if (existsSync(folder)) return folder;
  log(`writing ${folder}`);
  const captured = await captureInputs(model, shape);
  const thresholds = [];
  for (const [place, tap] of Object.entries(taps))
    for (let layer = 0; layer < shape.layers; layer++) {
      const sizes = Float32Array.from(captured[`${tap}.${layer}`], Math.abs).sort();
      const threshold = sizes[Math.floor((1 - density) * sizes.length)];
      thresholds.push({ name: `layers.${layer}.${place}.threshold`, values: Float32Array.of(threshold), shape: [1] });
    }
  const masks = Object.keys(taps).map((place) => ({ at: [place], kind: 'magnitude' }));
  return writePlan(folder, { method: 'quantiles', masks }, thresholds);
}

/**
 * The gate is b·A of unit length plus a weight on channel 0: a predictor of one rank more knows it.
 * @param {string} folder @param {import('./shapes.mjs').Shape} shape @param {number} density of the gate
 * @param {number} [shift] of the ReLU behind it
 */
export async function makePredictorPlan(folder, shape, density, shift = 0) {
  if (existsSync(folder)) return folder;
  log(`writing ${folder}`);
  const { hidden, ffn, layers } = shape;
  const ranks = rank + 1;
  const tensors = [];
  for (let layer = 0; layer < layers; layer++) {
    const factors = gateFactors(shape, layer, density);
    const a = new Float32Array(ranks * hidden);
    a.set(factors.a);
    a[rank * hidden] = 1;
    const b = new Float32Array(ffn * ranks);
    for (let n = 0; n < ffn; n++) {
      const shares = factors.b.subarray(n * rank, (n + 1) * rank);
      const length = lengthOf(shares, factors.a, hidden);
      for (let k = 0; k < rank; k++) b[n * ranks + k] = shares[k] / length;
      b[n * ranks + rank] = factors.bias;
    }
    const name = `layers.${layer}.predictor`;
    tensors.push({ name: `${name}.a`, values: a, shape: [ranks, hidden] });
    tensors.push({ name: `${name}.b`, values: b, shape: [ffn, ranks] });
    tensors.push({ name: `${name}.threshold`, values: Float32Array.of(shift - margin), shape: [1] });
  }
  return writePlan(
    folder,
    { method: "the gate's factors", predictor: { rank: Array(layers).fill(ranks), dtype: 'bf16' } },
    tensors,
  );
}

/** Of b·A, by A's Gram matrix: the rows themselves are never made. */
const grams = new WeakMap();
function lengthOf(shares, a, hidden) {
  let gram = grams.get(a);
  if (!gram) {
    gram = Float64Array.from({ length: rank * rank }, (_, at) => {
      const [i, j] = [Math.floor(at / rank) * hidden, (at % rank) * hidden];
      let sum = 0;
      for (let c = 0; c < hidden; c++) sum += a[i + c] * a[j + c];
      return sum;
    });
    grams.set(a, gram);
  }
  let square = 0;
  for (let i = 0; i < rank; i++) for (let j = 0; j < rank; j++) square += shares[i] * gram[i * rank + j] * shares[j];
  return Math.sqrt(square);
}

async function captureInputs(source, shape) {
  const { loadModel } = await importModels();
  const { native } = await importNative();
  const backend = await createBackend({ backend: native ? 'native' : 'wasm', threads: 2 });
  const model = await loadModel(source, { backend, contextLength: 64, sparsity: 'dense' });
  try {
    const layers = Array.from({ length: shape.layers }, (_, layer) => layer);
    const capture = layers.flatMap((layer) => [...new Set(Object.values(taps))].map((tap) => `${tap}.${layer}`));
    const ids = Array.from({ length: 24 }, (_, i) => 259 + ((i * 7919) % (shape.vocab - 259)));
    return (await model.forward(ids, { capture })).captured;
  } finally {
    await model.dispose();
    await backend.dispose();
  }
}

async function writePlan(folder, plan, tensors) {
  const { planConfigFile, planJson } = await importModels();
  const { planWeightsFile, writeSafetensors } = await importCheckpoint();
  const partial = `${folder}.partial`;
  await mkdir(partial, { recursive: true });
  await writeFile(join(partial, planConfigFile), planJson(plan));
  const entries = tensors.map(({ name, values, shape }) => ({
    name,
    dtype: 'F32',
    shape,
    data: () => [new Uint8Array(values.buffer, values.byteOffset, values.byteLength)],
  }));
  await writeSafetensors(join(partial, planWeightsFile), entries, {});
  await rename(partial, folder);
  return folder;
}
