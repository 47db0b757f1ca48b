// Numbers printed by CPython 3.11.
import { expect, test } from 'vitest';
import { PythonRandom } from './python-random.js';

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

test('random() and sample() are those of random.Random(1234)', () => {
  const random = new PythonRandom(1234);
  expect([random.random(), random.random(), random.random()]).toEqual([
    0.9664535356921388, 0.4407325991753527, 0.007491470058587191,
  ]);
  expect(random.sample(range(100), 5)).toEqual([74, 4, 85, 88, 10]);
  expect(random.sample(range(10), 5)).toEqual([1, 5, 3, 0, 6]);
  expect(random.sample(range(1000), 8)).toEqual([807, 16, 354, 663, 638, 495, 630, 474]);
});

test('a sample cannot be larger than what it is drawn from', () => {
  expect(() => new PythonRandom(0).sample([1], 2)).toThrow('a sample of 2 from 1');
});
