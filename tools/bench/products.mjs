// What benchmarks of products share: the quantised input of block formats, and a check of a few outputs in f64.
import { bf16ToF32, dequantizeRow, rowBytes } from '../../packages/tensor/dist/index.js';
import { checkClose } from './measure.mjs';

/** Appends `quantize` where a weight wants it; gives the operands of x. */
export function quantized(declare, builder, x, width, dtype, transposed) {
  if (transposed || (dtype !== 'int8' && dtype !== 'int4')) return { x };
  const blocks = Math.ceil(width / 32);
  const values = declare(`${x}.values`, 'i8', ['rows', blocks * 32]);
  const xScales = declare(`${x}.scales`, 'f32', ['rows', blocks]);
  const xSums = declare(`${x}.sums`, 'i32', ['rows', blocks]);
  builder.op('quantize', { x, values, xScales, xSums });
  return { x: values, xScales, xSums };
}

/** Row `index` of a weight, as numbers. */
export function weightRow(view, index, dtype, columns) {
  if (dtype === 'int8' || dtype === 'int4') {
    const bytes = rowBytes(dtype, columns);
    return dequantizeRow(dtype, view.subarray(index * bytes, (index + 1) * bytes), columns);
  }
  const row = view.subarray(index * columns, (index + 1) * columns);
  return dtype === 'bf16' ? Float32Array.from(row, bf16ToF32) : row;
}

/** Some outputs of one row against plain sums. */
export function checkLinear(session, { x = 'x', w, out, dtype, transposed, width, wide, row = 0 }) {
  const input = session.view(x).subarray(row * width, (row + 1) * width);
  const got = session.view(out).subarray(row * wide, (row + 1) * wide);
  const weights = session.view(w);
  const tolerance = !transposed && (dtype === 'int8' || dtype === 'int4') ? 0.02 : 1e-4;
  const wanted = [0, 7, wide / 2 + 1, wide - 1];
  const sums = wanted.map(() => 0);
  for (let k = 0; k < width; k++) {
    const column = transposed ? weightRow(weights, k, dtype, wide) : undefined;
    wanted.forEach((n, i) => {
      if (column) sums[i] += input[k] * column[n];
    });
  }
  if (!transposed)
    wanted.forEach((n, i) => {
      const weight = weightRow(weights, n, dtype, width);
      for (let k = 0; k < width; k++) sums[i] += input[k] * weight[k];
    });
  const size = Math.max(...sums.map(Math.abs), 1);
  wanted.forEach((n, i) => {
    checkClose(`output ${n}`, got[n] / size, sums[i] / size, tolerance);
  });
}
