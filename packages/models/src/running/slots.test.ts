// Slots that hold as many tokens as the longest contexts have. Does not own what prompts take from them (scheduler-steps.test.ts).
import type { Session } from '@relufy/tensor';
import { expect, it } from 'vitest';
import { keyValueLayout } from './slot-layout.js';
import { SlotCache } from './slots.js';

it('300,000 ids are appended, and forked to another slot in place of what it held', () => {
  const ids = Array.from({ length: 300_000 }, (_, i) => i % 1000);
  const cache = new SlotCache(2, keyValueLayout(1, 1, ids.length));
  cache.append(0, ids);
  cache.append(1, [5, 6]);
  cache.fork({ copy: () => {} } as unknown as Session, 0, 1, ids.length - 1);
  expect(cache.length(1)).toBe(ids.length - 1);
  expect(cache.commonPrefix(1, ids)).toBe(ids.length - 1);
});
