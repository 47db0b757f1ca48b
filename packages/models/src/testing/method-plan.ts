// Turns a case of ../shared/golden/methods into a sparsity plan: its thresholds and vectors, by our places.
import { readFileSync } from 'node:fs';
import { shared } from '../../../../tools/testing/shared.js';
import { type Mask, type MaskPlace, parseConfig, placesName, type SequenceReuse, type SparsityPlan } from '../index.js';
import { readTensors } from './golden.js';
import type { PlanTensor } from './plan-files.js';

type Numbers = Readonly<Record<string, number | string>>;

export interface MethodCase {
  readonly method: string;
  readonly model: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly layers: readonly Readonly<Record<string, Numbers>>[];
  readonly measured: { readonly counted: readonly string[] };
}

export interface MethodPlan {
  readonly plan: SparsityPlan;
  readonly tensors: ReadonlyMap<string, PlanTensor>;
  /** Of the case's sequence. */
  readonly reuse?: SequenceReuse;
  /** What the case counts, by the tap that tells: not zero is kept. */
  readonly taps: Readonly<Record<string, string>>;
}

/** The methods that a plan can say. */
export const plannedMethods = [
  'teal',
  'cats',
  'chess',
  'wina',
  'r-sparse',
  'cett',
  'predictor',
  'sparseinfer',
  'topk',
  'reuse',
  'hard-shrink',
] as const;

export const readCase = (name: string): MethodCase =>
  JSON.parse(readFileSync(shared(`golden/methods/${name}/method.json`), 'utf8'));

export function planOf(name: string, one: MethodCase): MethodPlan {
  const config = JSON.parse(readFileSync(shared(`golden/${one.model}/config.json`), 'utf8'));
  const { spec, family } = parseConfig(config);
  const gated = spec.ffn.kind === 'gated';
  const hasVectors = /norms|kappa|left|w1/.test(JSON.stringify(one.layers));
  const vectors = hasVectors ? readTensors(shared(`golden/methods/${name}/method.safetensors`)) : new Map();
  const vector = (key: unknown) => vectors.get(String(key)) as Float32Array;
  const tensors = new Map<string, PlanTensor>();
  const put = (tensor: string, values: ArrayLike<number>, shape: readonly number[] = [values.length]) =>
    tensors.set(tensor, { shape, values: Float32Array.from(values) });
  const sites: Readonly<Record<string, readonly MaskPlace[]>> = {
    qkv: ['q', 'k', 'v'],
    q: ['q'],
    k: ['k'],
    v: ['v'],
    o: ['o'],
    upGate: gated ? ['gate', 'up'] : ['up'],
    gate: ['gate'],
    up: ['up'],
    down: ['down'],
    'att.key': ['k'],
    'att.rec': ['receptance'],
    'att.val': ['v'],
    'att.out': ['o'],
    'ffn.rec': ['ffnReceptance'],
    'ffn.key': ['up'],
    'ffn.val': ['down'],
  };
  const at = (site: string) => sites[site] as readonly MaskPlace[];
  const perLayer = (each: (layer: MethodCase['layers'][number], index: number) => void) => one.layers.forEach(each);
  const magnitude = (key: string, places: readonly MaskPlace[]): Mask => {
    perLayer((layer, index) =>
      put(`layers.${index}.${placesName(places)}.threshold`, [layer[key]?.threshold as number]),
    );
    return { at: places, kind: 'magnitude' };
  };
  /** threshold / norm a channel, in f64. */
  const weighted = (key: string, places: readonly MaskPlace[], keepsTies: boolean): Mask => {
    perLayer((layer, index) => {
      const { threshold, norms } = layer[key] as Numbers;
      put(
        `layers.${index}.${placesName(places)}.threshold`,
        vector(norms).map((norm) => Number(threshold) / norm),
      );
    });
    return { at: places, kind: 'magnitude', perChannel: true, ...(keepsTies && { keepsTies }) };
  };
  const done = (plan: Omit<SparsityPlan, 'method'>, taps: Readonly<Record<string, string>>): MethodPlan => ({
    plan: { method: one.method, ...plan },
    tensors,
    taps,
  });
  const siteTaps = { qkv: 'qkv', o: 'o', upGate: placesName(at('upGate')), down: 'down' };
  const keys = Object.keys(one.layers[0] as object);
  switch (one.method) {
    case 'hard-shrink':
      return done(
        { masks: keys.map((site) => magnitude(site, at(site))) },
        Object.fromEntries(keys.map((site) => [site, placesName(at(site))])),
      );
    case 'teal':
      return done({ masks: keys.map((site) => magnitude(site, at(site))) }, siteTaps);
    case 'cats':
      return done({ masks: [magnitude('gate', ['neurons'])] }, { neurons: 'neurons' });
    case 'chess': {
      const masks: Mask[] = [{ at: ['neurons'], kind: 'magnitude', perChannel: true }];
      perLayer((layer, index) => put(`layers.${index}.neurons.threshold`, vector(layer.gate?.thresholds)));
      for (const place of ['q', 'o'] as const) if (keys.includes(place)) masks.push(magnitude(place, [place]));
      return done({ masks }, { q: 'q', o: 'o', neurons: 'neurons' });
    }
    case 'wina':
    case 'topk': {
      const scaled = one.method === 'wina';
      const masks = keys.map((site): Mask => {
        const places = at(site);
        if (scaled)
          perLayer((layer, index) => put(`layers.${index}.${placesName(places)}.scale`, vector(layer[site]?.norms)));
        const k = one.layers.map((layer) => layer[site]?.k as number);
        return { at: places, kind: 'top', k, ...(scaled && { scaled }) };
      });
      return done({ masks }, { ...siteTaps, neurons: 'down' });
    }
    case 'r-sparse': {
      const scaled = one.options.score === 'scaled';
      const roles = new Map<string, string>(keys.map((role) => [role, String(one.layers[0]?.[role]?.site)]));
      const masks = scaled
        ? keys.map((role) => weighted(role, at(role), false))
        : [...new Set(roles.values())].map((site) => {
            const role = keys.find((key) => roles.get(key) === site) as string;
            return magnitude(role, at(site));
          });
      const lowRank = keys.map((role) => {
        perLayer((layer, index) => {
          const { rank, left, right } = layer[role] as Numbers;
          const [a, b] = [vector(right), vector(left)];
          const of = `layers.${index}.${role}.lowRank`;
          put(`${of}.a`, a, [Number(rank), a.length / Number(rank)]);
          // a fused tensor has its rows in the family's order
          const parts = family.weights(spec).get(`layers.${index}.${role}.weight`) ?? [];
          const rows = parts.flatMap(({ firstRow, rows: count }) =>
            Array.from({ length: count }, (_, i) => firstRow + i),
          );
          const ordered = role === 'qkv' ? rows : Array.from({ length: b.length / Number(rank) }, (_, i) => i);
          const values = ordered.flatMap((row) => [...b.subarray(row * Number(rank), (row + 1) * Number(rank))]);
          put(`${of}.b`, values, [ordered.length, Number(rank)]);
        });
        const rank = one.layers.map((layer) => layer[role]?.rank as number);
        return { at: at(role), rank, input: 'remainder' } as const;
      });
      const taps = Object.fromEntries(keys.map((role) => [role, placesName(at(role))]));
      return done({ masks, lowRank }, { ...siteTaps, ...(scaled && taps) });
    }
    case 'cett':
      return done({ masks: [weighted('down', ['down'], true)] }, { neurons: 'down' });
    case 'predictor': {
      perLayer((layer, index) => {
        const { w1, w2, rank } = layer.predictor as Numbers;
        put(`layers.${index}.predictor.a`, vector(w1), [Number(rank), spec.hiddenSize]);
        put(`layers.${index}.predictor.b`, vector(w2), [spec.intermediateSize, Number(rank)]);
        put(`layers.${index}.predictor.threshold`, [0]);
      });
      const rank = one.layers.map((layer) => layer.predictor?.rank as number);
      const relu = one.layers[0]?.predictor?.between === 'relu';
      return done({ predictor: { rank, ...(relu && { relu }) } }, { neurons: 'foreseen' });
    }
    case 'sparseinfer': {
      const alpha = one.layers.map(({ gate }) => Number(gate?.alpha));
      return done({ predictor: { kind: 'signs', alpha } }, { neurons: 'foreseen' });
    }
    case 'reuse': {
      const { gamma: interval, prompt } = one.options as { gamma: number; prompt: number };
      return { ...done({ reuse: { interval } }, { neurons: 'down' }), reuse: { interval, prompt } };
    }
    default:
      throw new Error(`no plan for the method ${one.method}`);
  }
}
