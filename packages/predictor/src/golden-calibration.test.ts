// Calibration against PyTorch (../shared/golden/methods): thresholds from the numbers of the dense run, on small models of
// three families; norms, kappas and low-rank factors; the same bits at any thread count.
import { readdirSync, readFileSync } from 'node:fs';
import type { MaskPlace } from '@relufy/models';
import { expect, it } from 'vitest';
import { describeShared, shared } from '../../../tools/testing/shared.js';
import { type Calibration, type CalibrationOptions, calibrate } from './index.js';
import { lowRankFactors } from './low-rank.js';
import { rSparseBudget } from './r-sparse.js';
import { openTensors } from './testing/tensors.js';

interface Case {
  readonly method: string;
  readonly model: string;
  readonly options: {
    readonly sparsity?: number | Readonly<Record<string, number>>;
    readonly keep?: Readonly<Record<string, number>>;
    readonly target?: number;
    readonly kappa?: 'rms' | 'mean';
    readonly attention?: boolean;
  };
  readonly layers: readonly Readonly<Record<string, Readonly<Record<string, number | string>>>>[];
}

const read = (name: string): Case => JSON.parse(readFileSync(shared(`golden/methods/${name}/method.json`), 'utf8'));

describeShared('calibration', 'golden/methods/units.json', () => {
  const run = async (name: string, options: CalibrationOptions, threads = 1): Promise<Calibration> => {
    const golden = await openTensors(shared(`golden/methods/${name}/golden.safetensors`));
    const ids = [...(golden.get('input_ids') as Int32Array)];
    return calibrate(shared(`golden/${read(name).model}`), [ids], {
      ...{ tokens: ids.length, trialTokens: 0, window: ids.length },
      load: { dtype: 'f32', backend: 'wasm', threads },
      ...options,
    });
  };
  const close = (got: number | undefined, wanted: unknown, tolerance = 1e-5) =>
    expect(Math.abs((got as number) / Number(wanted) - 1)).toBeLessThan(tolerance);
  const bar = ({ tensors }: Calibration, layer: number, name: string): Float32Array =>
    tensors.get(`layers.${layer}.${name}.threshold`)?.values as Float32Array;
  const names: Readonly<Record<string, string>> = { qkv: 'qkv', o: 'o', upGate: 'gateUp', down: 'down' };
  const kept = (share: number, places: readonly MaskPlace[]): NonNullable<CalibrationOptions['density']> =>
    Object.fromEntries(places.map((place) => [place, 1 - share]));

  it.each(['llama-silu-teal', 'falcon-7b-shape-teal', 'opt-gelu-untied-teal'])('%s', async (name) => {
    const { layers, options } = read(name);
    const gated = name.startsWith('llama');
    const share = (site: string) =>
      Number(typeof options.sparsity === 'object' ? options.sparsity[site] : options.sparsity);
    const density = {
      ...kept(share('qkv'), ['q', 'k', 'v']),
      ...kept(share('o'), ['o']),
      ...kept(share('upGate'), gated ? ['gate', 'up'] : ['up']),
      ...kept(share('down'), ['down']),
    };
    const made = await run(name, { method: 'teal', density });
    for (const [layer, sites] of layers.entries())
      for (const [site, { calibrated }] of Object.entries(sites))
        close(bar(made, layer, site === 'upGate' && !gated ? 'up' : (names[site] as string))[0], calibrated);
    const again = await run(name, { method: 'teal', density }, 3);
    expect(again).toEqual(made);
  });

  it('rwkv-hard-shrink', async () => {
    const { layers, options } = read('rwkv-hard-shrink');
    const places = {
      ...{ 'att.key': 'k', 'att.rec': 'receptance', 'att.val': 'v', 'att.out': 'o' },
      ...{ 'ffn.rec': 'ffnReceptance', 'ffn.key': 'up', 'ffn.val': 'down' },
    } as const satisfies Record<string, MaskPlace>;
    const sites = Object.entries(places);
    const share = (site: string) => options.keep?.[site] ?? 1 - Number(options.sparsity);
    const density = Object.fromEntries(sites.map(([site, place]) => [place, share(site)]));
    const made = await run('rwkv-hard-shrink', { method: 'hard-shrink', density });
    for (const [layer, each] of layers.entries())
      for (const [site, place] of sites) {
        const { calibrated } = each[site] as { calibrated?: number };
        if (calibrated !== undefined) close(bar(made, layer, place)[0], calibrated);
      }
    expect(await run('rwkv-hard-shrink', { method: 'hard-shrink', density }, 3)).toEqual(made);
  });

  it('llama-silu-cats', async () => {
    const { layers, options } = read('llama-silu-cats');
    const made = await run('llama-silu-cats', {
      method: 'cats',
      density: kept(options.sparsity as number, ['neurons']),
    });
    for (const [layer, { gate }] of layers.entries()) close(bar(made, layer, 'neurons')[0], gate?.calibrated);
  });

  it.each(['llama-silu-chess', 'llama-silu-chess-ffn'])('%s', async (name) => {
    const { layers, options } = read(name);
    const { attention, kappa = 'rms', sparsity } = options;
    const made = await run(name, {
      method: 'chess',
      ...{ attention: attention === true, kappa },
      density: kept(sparsity as number, attention ? ['q', 'o', 'neurons'] : ['neurons']),
    });
    const vectors = await openTensors(shared(`golden/methods/${name}/method.safetensors`));
    for (const [layer, { gate, q, o }] of layers.entries()) {
      const kappas = vectors.get(String(gate?.kappa)) as Float32Array;
      for (const [i, threshold] of bar(made, layer, 'neurons').entries())
        close(threshold * (kappas[i] as number), gate?.calibratedTau);
      for (const [place, golden] of [['q', q] as const, ['o', o] as const])
        if (golden) close(bar(made, layer, place)[0], golden.calibrated);
    }
  });

  it.each(['llama-silu-cett', 'opt-gelu-untied-cett'])('%s', async (name) => {
    const { layers, options } = read(name);
    const made = await run(name, { method: 'cett', cett: options.target as number });
    const vectors = await openTensors(shared(`golden/methods/${name}/method.safetensors`));
    for (const [layer, { down }] of layers.entries()) {
      const norms = vectors.get(String(down?.norms)) as Float32Array;
      // the golden grid has 65,536 steps up to the .99 quantile, some two to ten times the threshold
      for (const [i, threshold] of bar(made, layer, 'down').entries())
        close(threshold * (norms[i] as number), down?.calibrated, 2e-4);
    }
  });

  it('llama-silu-wina: norms over the linears of a site, and k', async () => {
    const { layers, options } = read('llama-silu-wina');
    const places = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'] as const;
    const made = await run('llama-silu-wina', {
      method: 'wina',
      norms: 'site',
      density: kept(options.sparsity as number, places),
    });
    const vectors = await openTensors(shared('golden/methods/llama-silu-wina/method.safetensors'));
    for (const [layer, sites] of layers.entries())
      for (const [site, { k, norms }] of Object.entries(sites)) {
        const mask = made.plan.masks?.find(({ at }) => at[0] === { qkv: 'q', upGate: 'gate' }[site] || at[0] === site);
        expect(mask?.kind === 'top' && mask.k[layer]).toBe(k);
        const scale = made.tensors.get(`layers.${layer}.${names[site]}.scale`)?.values as Float32Array;
        for (const [i, norm] of (vectors.get(String(norms)) as Float32Array).entries()) close(scale[i], norm);
      }
  });

  it('R-Sparse: what its factors make of a weight is what an SVD in PyTorch makes', async () => {
    const { layers } = read('llama-silu-r-sparse');
    const vectors = await openTensors(shared('golden/methods/llama-silu-r-sparse/method.safetensors'));
    const weights = await openTensors(shared('golden/llama-silu/model.safetensors'));
    for (const [role, tensor] of [
      ['q', 'self_attn.q_proj'],
      ['k', 'self_attn.k_proj'],
      ['down', 'mlp.down_proj'],
    ] as const) {
      const { left, right, rank } = (layers[0] as Case['layers'][number])[role] as Record<string, number | string>;
      const values = weights.get(`model.layers.0.${tensor}.weight`) as Float32Array;
      const [a, b] = [vectors.get(String(right)), vectors.get(String(left))] as [Float32Array, Float32Array];
      const [columns, rows] = [a.length / Number(rank), b.length / Number(rank)];
      const made = lowRankFactors({ rows, columns, values }, Number(rank));
      const wanted = product(b, a, rows, Number(rank), columns);
      const got = product(made.left, made.right, rows, Number(rank), columns);
      const largest = Math.max(...wanted.map(Math.abs));
      for (const [i, value] of wanted.entries())
        expect(Math.abs((got[i] as number) - value) / largest, role).toBeLessThan(1e-4);
    }
  });

  it('R-Sparse: budgets', () => {
    const { rSparseBudget: cases } = JSON.parse(readFileSync(shared('golden/methods/units.json'), 'utf8'));
    for (const { dIn, dOut, sparsity, rho, k, quantile, rank } of cases) {
      const budget = rSparseBudget(dIn, dOut, sparsity, rho);
      expect([budget.k, budget.rank]).toEqual([k, rank]);
      expect(budget.quantile).toBeCloseTo(quantile, 12);
    }
  });

  it('knows every method that has a golden case', () => {
    const methods = readdirSync(shared('golden/methods'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => read(name).method);
    // the oracle, what is not of a text, and what is learned
    const others = ['topk', 'predictor', 'sparseinfer', 'reuse'];
    expect(new Set(methods.filter((method) => !others.includes(method)))).toEqual(
      new Set(['teal', 'hard-shrink', 'cats', 'chess', 'cett', 'wina', 'r-sparse']),
    );
  });
});

function product(left: Float32Array, right: Float32Array, rows: number, rank: number, columns: number): number[] {
  return Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    let sum = 0;
    for (let r = 0; r < rank; r++) sum += left[row * rank + r]! * right[r * columns + column]!;
    return sum;
  });
}
