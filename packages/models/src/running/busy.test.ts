// A machine that others use too: whoever takes part in a step comes and goes, and every bit stays the same.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { nativeAvailability } from '@relufy/native';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModel } from '../node.js';

const bundled = fileURLToPath(new URL('../../../llama-tales/model/', import.meta.url));
/** Busy for 25 ms, away for 15: cores are taken and given back in the middle of an answer. */
const loop =
  'const nap = new Int32Array(new SharedArrayBuffer(4)); for (;;) { const end = Date.now() + 25; while (Date.now() < end); Atomics.wait(nap, 0, 0, 15); }';

const native = nativeAvailability();

describe.each(['wasm' as const, ...(native.available ? (['native'] as const) : [])])(
  'beside busy loops: %s',
  (backend) => {
    let busy: ReturnType<typeof spawn>[] = [];
    beforeAll(() => {
      busy = Array.from({ length: availableParallelism() + 1 }, () => spawn(process.execPath, ['-e', loop]));
    });
    afterAll(() => {
      for (const child of busy) child.kill();
    });

    it('two models at once, of one and of two threads, give the same logits bit for bit', async () => {
      await using one = await loadModel(bundled, { backend, threads: 1 });
      await using two = await loadModel(bundled, { backend, threads: 2 });
      const until = performance.now() + 4000;
      for (let seed = 1; performance.now() < until; seed++) {
        // short prompts and long ones: decoding steps, and steps whose products have barriers inside
        const ids = Array.from({ length: seed % 3 === 0 ? 90 : 4 }, (_, i) => (i * 37 + seed * 101) % 4000);
        const options = { maxNewTokens: 12, temperature: 0, stopTokenIds: [], logprobs: 3 };
        const read = async (model: typeof one) => {
          const pieces = [];
          for await (const piece of model.generate(ids, options)) pieces.push(piece);
          return { pieces, logits: new Uint32Array((await model.forward(ids)).logits.buffer) };
        };
        const [want, got] = await Promise.all([read(one), read(two)]);
        expect(got.pieces).toEqual(want.pieces);
        expect(got.logits).toEqual(want.logits);
      }
    });
  },
);
