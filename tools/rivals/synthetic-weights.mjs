// Weights of a synthetic model whose gate is positive for a chosen share of neurons, another set for every token.
// Owns the numbers; they are made row by row, so that no tensor is ever whole in memory.
//
// Channel 0 of every embedding is `constant`; the rows of o and down that would write to it are zero, so it stays.
// The gate of a neuron is a direction b·A of unit length over the other channels (rank 48: a predictor can be exact,
// which PowerInfer's file uses) plus a weight on channel 0. For a token with random embedding the direction gives
// N(0, V), V being the residual stream's mean square, and channel 0 gives constant * weight; RMSNorm scales both by the
// same positive number. weight = -Φ⁻¹(1 - density) sqrt(V) / constant makes `density` of the neurons positive.
// o and down are small, so V stays near 1 (an FFN adds `growth`) and the embedding decides the set.

export const rank = 48;
const constant = 10;
const growth = 0.0025;
/** Standard deviation of what attention adds, before it averages over positions. */
const attentionScale = 0.05;

/** Uniform 32-bit numbers, seeded. @param {number} seed */
function randomBits(seed) {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** Φ⁻¹ by bisection: slow, and called a few thousand times only. @param {number} p */
export function normalQuantile(p) {
  let [low, high] = [-9, 9];
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

const normalDensity = (x) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** Φ: continued fraction in the tail, series within. @param {number} x */
function normalCdf(x) {
  const density = normalDensity(x);
  if (Math.abs(x) < 3) {
    let [term, sum] = [x, x];
    for (let k = 3; k < 120; k += 2) {
      term *= (x * x) / k;
      sum += term;
    }
    return 0.5 + sum * density;
  }
  let fraction = Math.abs(x);
  for (let k = 40; k > 0; k--) fraction = Math.abs(x) + k / fraction;
  return x < 0 ? density / fraction : 1 - density / fraction;
}

/** The mean of ReLU(z)^power for z of N(-threshold, 1), power >= 2: by parts, from those of lower powers. */
function meanPower(threshold, power) {
  let [before, mean] = [1 - normalCdf(threshold), normalDensity(threshold) - threshold * (1 - normalCdf(threshold))];
  for (let k = 2; k <= power; k++) [before, mean] = [mean, (k - 1) * before - threshold * mean];
  return mean;
}

/** The shift b of max(0, z - b) at which a gate made for `from` lets `to` through. */
export const shiftFor = (shape, from, to) =>
  (normalQuantile(1 - to) - normalQuantile(1 - from)) / Math.sqrt(1 + constant ** 2 / shape.hidden);

/** 4096 equally likely values of N(0, 1). */
const normalTable = Float32Array.from({ length: 4096 }, (_, i) => normalQuantile((i + 0.5) / 4096));

/** @param {number} value */
const toBf16 = (() => {
  const f32 = new Float32Array(1);
  const u32 = new Uint32Array(f32.buffer);
  return (value) => {
    f32[0] = value;
    return (u32[0] + 0x7fff + ((u32[0] >>> 16) & 1)) >>> 16;
  };
})();

/** Rows of N(0, scale²) in bf16. @param {number} seed @param {number} scale */
function normalRows(seed, scale) {
  const next = randomBits(seed);
  const table = Uint16Array.from(normalTable, (value) => toBf16(value * scale));
  return (row) => {
    let i = 0;
    for (; i + 1 < row.length; i += 2) {
      const bits = next();
      row[i] = table[bits & 4095];
      row[i + 1] = table[(bits >>> 12) & 4095];
    }
    if (i < row.length) row[i] = table[next() & 4095];
  };
}

/** A gate's low-rank parts, in f32; also what an exact predictor is made of. */
export function gateFactors({ hidden, ffn }, layer, density) {
  const next = randomBits(1000 + layer);
  const normal = () => normalTable[next() & 4095];
  const a = Float32Array.from({ length: rank * hidden }, (_, i) => (i % hidden === 0 ? 0 : normal()));
  const b = Float32Array.from({ length: ffn * rank }, normal);
  const bias = (-normalQuantile(1 - density) * Math.sqrt(1 + growth * layer)) / constant;
  return { a, b, bias };
}

/** Rows of the gate: b·A scaled to length 1, channel 0 for the density. */
function gateRows(shape, layer, density) {
  const { hidden } = shape;
  let factors;
  const sums = new Float32Array(hidden);
  return (row, index) => {
    factors ??= gateFactors(shape, layer, density);
    const { a, b, bias } = factors;
    sums.fill(0);
    for (let k = 0; k < rank; k++) {
      const share = b[index * rank + k];
      const from = k * hidden;
      for (let i = 0; i < hidden; i++) sums[i] += share * a[from + i];
    }
    let square = 0;
    for (let i = 1; i < hidden; i++) square += sums[i] * sums[i];
    const scale = 1 / Math.sqrt(square);
    row[0] = toBf16(bias);
    for (let i = 1; i < hidden; i++) row[i] = toBf16(sums[i] * scale);
  };
}

/**
 * @typedef {object} Tensor
 * @property {string} name
 * @property {readonly number[]} shape
 * @property {() => (row: Uint16Array, index: number) => void} rows begins anew; fills rows in order, in bf16
 */

/** The tensors of a Llama or an Arcee, in Hugging Face's names. @returns {Tensor[]} */
export function tensorsOf(shape, density) {
  const { hidden, ffn, layers, vocab } = shape;
  const [q, kv] = [shape.heads * shape.headDim, shape.kvHeads * shape.headDim];
  const unit = hidden ** -0.5;
  // gated: ReLU(gate) times a value of N(0, 1); plain: ReLU², whose square has the fourth power
  const downScale = Math.sqrt(growth / meanPower(normalQuantile(1 - density), shape.gated ? 2 : 4) / ffn);
  let seed = 0;
  /** @type {Tensor[]} */
  const tensors = [];
  const add = (name, size, rows) => tensors.push({ name: `model.${name}.weight`, shape: size, rows });
  const matrix = (name, out, columns, scale, adjust = (_row, _index) => {}) => {
    const own = ++seed;
    add(name, [out, columns], () => {
      const fill = normalRows(own, scale);
      return (row, index) => {
        fill(row);
        adjust(row, index);
      };
    });
  };
  const vector = (name, value) => add(name, [hidden], () => (row) => row.fill(toBf16(value)));
  /** Nothing may write to the constant channel. */
  const keepConstant = (row, index) => index === 0 && row.fill(0);

  matrix('embed_tokens', vocab, hidden, 1, (row) => {
    row[0] = toBf16(constant);
  });
  for (let layer = 0; layer < layers; layer++) {
    const name = (part) => `layers.${layer}.${part}`;
    vector(name('input_layernorm'), 1);
    matrix(name('self_attn.q_proj'), q, hidden, unit);
    matrix(name('self_attn.k_proj'), kv, hidden, unit);
    matrix(name('self_attn.v_proj'), kv, hidden, unit);
    matrix(name('self_attn.o_proj'), hidden, q, attentionScale * q ** -0.5, keepConstant);
    vector(name('post_attention_layernorm'), 1);
    const deciding = shape.gated ? 'mlp.gate_proj' : 'mlp.up_proj';
    add(name(deciding), [ffn, hidden], () => gateRows(shape, layer, density));
    if (shape.gated) matrix(name('mlp.up_proj'), ffn, hidden, unit);
    matrix(name('mlp.down_proj'), hidden, ffn, downScale, keepConstant);
  }
  vector('norm', Math.log(vocab) / hidden); // a token's own logit is then near log(vocab): no probability is 0 or 1
  return tensors;
}

/** A tensor's bytes in pieces of a few megabytes. @param {Tensor} tensor */
export function* bytesOf({ shape, rows }) {
  const columns = shape.at(-1);
  const count = shape.length === 1 ? 1 : shape[0];
  const step = Math.max(1, Math.floor(2 ** 21 / columns));
  const fill = rows();
  for (let first = 0; first < count; first += step) {
    const piece = new Uint16Array(Math.min(step, count - first) * columns);
    for (let row = 0; row * columns < piece.length; row++)
      fill(piece.subarray(row * columns, (row + 1) * columns), first + row);
    yield new Uint8Array(piece.buffer);
  }
}
