// Runs of ../shared/golden/methods/smollm2.json and smollm2-short.json as sparsity plans for SmolLM2-135M: thresholds by our
// places, norms of its weights where a method weighs by them. Does not own what is compared (smollm2-methods.test.ts).
import { openCheckpoint } from '@relufy/checkpoint';
import { folderFiles } from '@relufy/checkpoint/node';
import { widen } from '@relufy/tensor';
import { shared } from '../../../../tools/testing/shared.js';
import { type Mask, type MaskPlace, placesName, type SparsityPlan } from '../index.js';
import { readTensors } from './golden.js';
import type { PlanTensor } from './plan-files.js';

export const smolFolder = 'models/smollm2-135m-instruct';
const layers = 30;

/** Of a file of runs: what the plan is made of. */
export interface SmolRun {
  readonly method: string;
  readonly thresholds?: Readonly<Record<string, readonly number[]>>;
  /** Channels kept at each site, or neurons at `down`. */
  readonly k?: number | Readonly<Record<string, number>>;
}

export interface SmolPlan {
  readonly plan: SparsityPlan;
  readonly tensors: ReadonlyMap<string, PlanTensor>;
}

const sites: Readonly<Record<string, readonly MaskPlace[]>> = {
  qkv: ['q', 'k', 'v'],
  q: ['q'],
  o: ['o'],
  upGate: ['gate', 'up'],
  gate: ['neurons'],
  tau: ['neurons'],
  down: ['down'],
};

/** The tap, less its layer, that has zeros where a run's `density` or `kept` does not count. */
export function countedTap(counted: string, { method }: SmolRun): string {
  if (counted === 'neurons') return method === 'cats' || method === 'chess' ? 'neurons' : 'down';
  return placesName(sites[counted] as readonly MaskPlace[]);
}

/** The methods of runs that are plans of masks alone; r-sparse wants factors, random is no rule. */
export const maskMethods = [
  'teal',
  'teal-greedy',
  'topk-inputs',
  'wina',
  'wina-threshold',
  'cats',
  'chess',
  'cett',
  'topk',
];

export async function smolPlan(name: string, run: SmolRun): Promise<SmolPlan> {
  const tensors = new Map<string, PlanTensor>();
  const put = (at: readonly MaskPlace[], what: string, valuesOf: (layer: number) => Float32Array) => {
    for (let layer = 0; layer < layers; layer++) {
      const values = valuesOf(layer);
      tensors.set(`layers.${layer}.${placesName(at)}.${what}`, { shape: [values.length], values });
    }
  };
  const masks: Mask[] = [];
  const weighted = Object.keys(run.thresholds ?? run.k ?? {});
  const norms = /wina|cett/.test(run.method) ? await columnNorms(weighted) : undefined;
  for (const [key, thresholds] of Object.entries(run.thresholds ?? {})) {
    const at = sites[key] as readonly MaskPlace[];
    const by = key === 'tau' ? kappa : norms?.(key);
    put(at, 'threshold', (layer) => {
      const threshold = thresholds[layer] as number;
      return by ? by(layer).map((weight) => threshold / weight) : Float32Array.of(threshold);
    });
    const keepsTies = run.method === 'cett';
    masks.push({ at, kind: 'magnitude', ...(by && { perChannel: true }), ...(keepsTies && { keepsTies }) });
  }
  const k = typeof run.k === 'number' ? { down: run.k } : (run.k ?? {});
  for (const [key, most] of Object.entries(k)) {
    const at = sites[key] as readonly MaskPlace[];
    const scaled = run.method === 'wina';
    if (scaled) put(at, 'scale', norms?.(key) as (layer: number) => Float32Array);
    masks.push({ at, kind: 'top', k: Array.from({ length: layers }, () => most), ...(scaled && { scaled }) });
  }
  const dense = name.endsWith('first-token-dense') && { denseTokens: 1 };
  return { plan: { method: run.method, masks, ...dense }, tensors };
}

const kappa = (layer: number): Float32Array => {
  const all = readTensors(shared('golden/methods/smollm2.safetensors')).get('chess.kappa') as Float32Array;
  return all.subarray(layer * 1536, (layer + 1) * 1536);
};

const linears: Readonly<Record<string, readonly string[]>> = {
  qkv: ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj'],
  o: ['self_attn.o_proj'],
  upGate: ['mlp.gate_proj', 'mlp.up_proj'],
  down: ['mlp.down_proj'],
};

/** ||W[:, i]|| over the rows of all linear layers of a site. */
async function columnNorms(wanted: readonly string[]): Promise<(site: string) => (layer: number) => Float32Array> {
  const checkpoint = await openCheckpoint(await folderFiles(shared(smolFolder)));
  const norms = new Map<string, Float32Array>();
  for (let layer = 0; layer < layers; layer++)
    for (const site of wanted) {
      const names = linears[site] as readonly string[];
      let sums = new Float64Array();
      for (const name of names) {
        const tensor = `model.layers.${layer}.${name}.weight`;
        const { shape } = checkpoint.tensors.get(tensor) as { readonly shape: readonly number[] };
        const [rows, columns] = shape as [number, number];
        const { dtype, data } = await checkpoint.readRows(tensor, 0, rows);
        const weights = widen(dtype, data);
        if (sums.length === 0) sums = new Float64Array(columns);
        for (let i = 0; i < weights.length; i++)
          sums[i % columns] = (sums[i % columns] as number) + (weights[i] as number) ** 2;
      }
      norms.set(`${site}.${layer}`, Float32Array.from(sums, Math.sqrt));
    }
  await checkpoint.close();
  return (site) => (layer) => norms.get(`${site}.${layer}`) as Float32Array;
}
