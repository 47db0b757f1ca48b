// Physical cores, as /proc/cpuinfo tells them.
import { describe, expect, it } from 'vitest';
import { coresPerProcessor, nodePlatform } from './node-platform.js';

const cpuinfo = (cores: readonly (readonly [number, number])[]) =>
  cores
    .map(([chip, core], i) => `processor\t: ${i}\nphysical id\t: ${chip}\ncore id\t\t: ${core}\nflags\t\t: fpu\n`)
    .join('\n');

describe('physical cores', () => {
  it('halves the processors where two share a core', () => {
    expect(
      coresPerProcessor(
        cpuinfo([
          [0, 0],
          [0, 1],
          [0, 0],
          [0, 1],
        ]),
      ),
    ).toBe(0.5);
    expect(
      coresPerProcessor(
        cpuinfo([
          [0, 0],
          [0, 1],
          [1, 0],
          [1, 1],
        ]),
      ),
    ).toBe(1);
  });

  it('takes every processor for a core where nothing is said', () => {
    expect(coresPerProcessor('')).toBe(1);
    expect(coresPerProcessor('processor : 0\nBogoMIPS : 50\n\nprocessor : 1\n')).toBe(1);
    expect(nodePlatform.physicalCores()).toBeGreaterThanOrEqual(1);
  });
});
