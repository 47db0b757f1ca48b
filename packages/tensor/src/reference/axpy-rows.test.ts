// The reference holds what axpyRows is defined over: x is zero outside its list, and a list may hold zeros.
import { expect, test } from 'vitest';
import { buffer, type CaseBuffer, type OpCase } from '../contract/case.js';
import { runCase } from '../contract/run-case.js';
import { createReferenceBackend } from './executor.js';

const values = (name: string, shape: readonly ('rows' | number)[], numbers: readonly number[], dtype: 'f32' | 'i32') =>
  buffer(name, dtype, shape, { kind: 'values', values: numbers });

function axpyRows(x: readonly number[], active: readonly number[], count: number): OpCase {
  const w: CaseBuffer = buffer('w', 'f32', [3, 1], { kind: 'values', values: [1, 10, 100] }, true);
  return {
    name: 'axpyRows',
    op: 'axpyRows',
    rows: 1,
    maxRows: 1,
    operands: {
      x: values('x', ['rows', 3], x, 'f32'),
      w,
      active: values('active', ['rows', 3], active, 'i32'),
      activeCount: values('activeCount', ['rows'], [count], 'i32'),
      out: buffer('out', 'f32', ['rows', 1], { kind: 'constant', value: 7 }),
    },
    attributes: {},
    results: ['out'],
  };
}

test.each([
  [[0, 2, 3], [1, 2, 0], 2],
  [[0, 2, 3], [0, 1, 2], 3],
])('x %j with the list %j', async (x, active, count) => {
  expect([...((await runCase(createReferenceBackend(), axpyRows(x, active, count), 1)).out as Float32Array)]).toEqual([
    320,
  ]);
});

test('a number outside the list is an error', async () => {
  const outside = axpyRows([5, 2, 3], [1, 2, 0], 2);
  await expect(runCase(createReferenceBackend(), outside, 1)).rejects.toThrow('x[0][0] is 5 and not in its list');
});
