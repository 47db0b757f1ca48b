// A real model under plans (../shared/golden/methods/smollm2-short.json): TEAL, CATS, CHESS and CETT on SmolLM2-135M, on
// ids chosen so that no decision is close. Kept counts are equal, losses within f32.
import { readFileSync } from 'node:fs';
import { openCheckpoint } from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { widen } from '@relufy/tensor';
import { expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { loadModel, type Mask, type MaskPlace, placesName } from './node.js';
import { readTensors } from './testing/golden.js';
import { type PlanTensor, planFolder } from './testing/plan-files.js';

interface Case {
  readonly thresholds: Readonly<Record<string, readonly number[]>>;
  /** By what is counted: of all tokens together, a layer each. */
  readonly kept: Readonly<Record<string, readonly number[]>>;
  readonly nll: readonly number[];
}

const folder = 'models/smollm2-135m-instruct';
const sites: Readonly<Record<string, readonly MaskPlace[]>> = {
  qkv: ['q', 'k', 'v'],
  q: ['q'],
  o: ['o'],
  upGate: ['gate', 'up'],
  gate: ['neurons'],
  tau: ['neurons'],
  down: ['down'],
};

describeShared('SmolLM2 under plans', 'golden/methods/smollm2-short.json', () => {
  const { ids, cases } = JSON.parse(readFileSync(shared('golden/methods/smollm2-short.json'), 'utf8')) as {
    ids: readonly number[];
    cases: Readonly<Record<string, Case>>;
  };

  it.each(['teal-40', 'cats-50', 'chess-50', 'cett-20'])(
    '%s',
    async (name) => {
      const { thresholds, kept, nll } = cases[name] as Case;
      const tensors = new Map<string, PlanTensor>();
      const masks: Mask[] = [];
      for (const [key, layers] of Object.entries(thresholds)) {
        const at = sites[key] as readonly MaskPlace[];
        const by = key === 'tau' ? kappa : name === 'cett-20' ? await downNorms() : undefined;
        for (const [layer, threshold] of layers.entries()) {
          const values = by
            ? (by(layer).map((weight) => threshold / weight) as Float32Array)
            : Float32Array.of(threshold);
          tensors.set(`layers.${layer}.${placesName(at)}.threshold`, { shape: [values.length], values });
        }
        const more = {
          ...(by && { perChannel: true as const }),
          ...(name === 'cett-20' && { keepsTies: true as const }),
        };
        masks.push({ at, kind: 'magnitude', ...more });
      }
      const plan = await planFolder({ method: name, masks }, tensors);
      const model = await loadModel(shared(folder), { dtype: 'f32', plan, contextLength: 64 });
      try {
        const { logprobs } = await model.score(ids);
        for (const [i, value] of nll.entries())
          expect(Math.abs(-(logprobs[i + 1] as number) - value), `nll ${i}`).toBeLessThan(1e-4);
        for (const [counted, layers] of Object.entries(kept)) {
          const place = { upGate: 'gateUp', neurons: name === 'cett-20' ? 'down' : 'neurons' }[counted] ?? counted;
          const taps = layers.map((_, layer) => `${place}.${layer}`);
          const { captured } = await model.forward(ids, { capture: taps });
          const counts = taps.map((tap) =>
            (captured[tap] as Float32Array).reduce((count, value) => count + (value === 0 ? 0 : 1), 0),
          );
          expect(counts, counted).toEqual(layers);
        }
      } finally {
        await model.dispose();
      }
    },
    60_000,
  );
});

const kappa = (layer: number): Float32Array => {
  const all = readTensors(shared('golden/methods/smollm2.safetensors')).get('chess.kappa') as Float32Array;
  return all.subarray(layer * 1536, (layer + 1) * 1536);
};

/** ||W_down[:, i]|| of every neuron, a layer each. */
async function downNorms(): Promise<(layer: number) => Float32Array> {
  const checkpoint = await openCheckpoint(await folderFiles(shared(folder)));
  const norms: Float32Array[] = [];
  for (let layer = 0; layer < 30; layer++) {
    const { dtype, data } = await checkpoint.readRows(`model.layers.${layer}.mlp.down_proj.weight`, 0, 576);
    const weights = widen(dtype, data);
    const sums = new Float64Array(1536);
    for (const [i, weight] of weights.entries()) sums[i % 1536]! += weight * weight;
    norms.push(Float32Array.from(sums, Math.sqrt));
  }
  await checkpoint.close();
  return (layer) => norms[layer] as Float32Array;
}
