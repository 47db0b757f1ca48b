// The curve of a run that is longer than any of the experiments. Does not own what a chart looks like (packages/charts).
import { expect, it } from 'vitest';
import { lossCurve } from './curve.js';

it('a run of 300,000 logged steps has a curve', () => {
  const curve = lossCurve(Array.from({ length: 300_000 }, (_, step) => ({ step, loss: 9 - step / 60_000 })));
  expect(curve).toContain('<svg');
});
