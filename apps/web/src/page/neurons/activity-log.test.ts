import { expect, test } from 'vitest';
import { ActivityLog } from './activity-log.js';

const activity = (weightBytes: number, neurons: (Uint32Array | undefined)[]) => ({
  weightBytes,
  denseWeightBytes: 100,
  density: { qkv: [], o: [], upGate: [], up: [], down: [] },
  neurons,
});

test('sums bytes, and tells shares by layer and token; what is not known is not zero', () => {
  const log = new ActivityLog(2, 8);
  log.push({ text: 'Once' });
  log.push({ text: ' upon', activity: activity(40, [Uint32Array.of(1, 7), Uint32Array.of(3)]) });
  log.push({ text: ' a', activity: activity(100, [undefined, undefined]) });
  expect([log.weightBytes, log.denseWeightBytes]).toEqual([140, 200]);
  expect([0, 1, 2].map((token) => log.shareOf(token, 0))).toEqual([undefined, 0.25, 1]);
  expect([0, 1, 2].map((token) => log.meanShare(token))).toEqual([undefined, 0.1875, 1]);
  expect(log.shareOf(9, 0)).toBeUndefined();
  expect([...log.frequencies()].slice(0, 8)).toEqual([0.5, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 1]);
});
