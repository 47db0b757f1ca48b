// Weights and inputs made up for benches: of the right size and format, seeded, quick to write by the gigabyte.
// Their numbers mean nothing; the answers computed from them are still checked.
import {
  type BufferDecl,
  type BufferView,
  f32ToBf16,
  isBlockDType,
  quantizeRow,
  rowBytes,
  type Session,
  type StepLimits,
  viewLength,
  viewTypes,
} from '@relufy/tensor';

/** Uniform in [-0.5, 0.5), seeded. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32 - 0.5;
  };
}

/** Fills a buffer of a session: where it lies, or, where memory is not shown, by a copy. */
export async function fillBuffer(
  session: Session,
  decl: BufferDecl,
  limits: StepLimits,
  fill: (view: BufferView) => void,
): Promise<void> {
  if (session.view) {
    fill(session.view(decl.name));
    return;
  }
  const values = new viewTypes[decl.dtype](viewLength(decl, limits));
  fill(values);
  await session.write(decl.name, values);
}

/** Rows that are made, unless more are asked for; the rest of a buffer repeats them. */
const patternRows = 61;

/** Fills a weight or an input with numbers of variance 1 / columns, so that products keep their size. */
export function fillRandom(view: BufferView, decl: BufferDecl, seed: number, mostRows = patternRows): void {
  const next = randomNumbers(seed);
  const columns = decl.shape.at(-1) as number;
  const scale = Math.sqrt(12 / columns);
  const rows = Math.min(mostRows, decl.shape.length > 1 && typeof decl.shape[0] === 'number' ? decl.shape[0] : 1);
  fillRows(view, decl, rows, () => Float32Array.from({ length: columns }, () => next() * scale));
}

/** Fills a weight or an input with so many rows, in its format; what is left repeats them. */
export function fillRows(view: BufferView, decl: BufferDecl, rows: number, row: (index: number) => Float32Array): void {
  const columns = decl.shape.at(-1) as number;
  const stride = isBlockDType(decl.dtype) ? rowBytes(decl.dtype, columns) : columns;
  for (let index = 0; index < rows; index++) {
    const values = row(index);
    const target = view.subarray(index * stride, (index + 1) * stride);
    if (isBlockDType(decl.dtype)) quantizeRow(decl.dtype, values, target as Uint8Array);
    else target.set(decl.dtype === 'bf16' ? values.map(f32ToBf16) : values);
  }
  for (let filled = rows * stride; filled < view.length; filled *= 2)
    view.copyWithin(filled, 0, Math.min(filled, view.length - filled));
}

/** What a gate lets through: a fresh random set of exactly `density` of the neurons, positive numbers. */
export function fillSelection(view: Float32Array, density: number, next: () => number): void {
  const wanted = Math.round(view.length * density);
  view.fill(0);
  // selection sampling (Knuth, algorithm S): each set of that size is equally likely
  let left = wanted;
  for (let i = 0; i < view.length && left > 0; i++)
    if ((next() + 0.5) * (view.length - i) < left) {
      view[i] = next() + 1;
      left--;
    }
}

/** The x below which a standard normal number lies with this probability; 1 counts as nearly 1. */
export function normalQuantile(probability: number): number {
  let [low, high] = [-8, 8];
  for (let round = 0; round < 60; round++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** By Simpson's rule from 0: called a few hundred times. */
function normalCdf(x: number): number {
  const [steps, density] = [400, (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI)];
  let sum = density(0) + density(x);
  for (let i = 1; i < steps; i++) sum += density((x * i) / steps) * (i % 2 === 1 ? 4 : 2);
  return 0.5 + (sum * x) / steps / 3;
}
