import { expect, it } from 'vitest';
import { nearest } from './index.js';

it('finds the name that was meant', () => {
  const names = ['llama-tales', 'reset', 'help'];
  for (const [typed, name] of [
    ...[
      ['llama-tale', 'llama-tales'],
      ['lama-tales', 'llama-tales'],
      ['LLAMA-TALES', 'llama-tales'],
      ['llama', 'llama-tales'],
    ],
    ...[
      ['hepl', 'help'],
      ['re', 'reset'],
      ['xyzzy', undefined],
      ['', undefined],
      ['x'.repeat(1e6), undefined],
    ],
  ] as const)
    expect(nearest(typed as string, names)).toBe(name);
  expect(nearest('x', [])).toBeUndefined();
});
