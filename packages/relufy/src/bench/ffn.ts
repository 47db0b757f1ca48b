// The density sweep: one FFN after the other over more weights than any cache holds, a fresh active set for every token
// and layer, exact sparse against dense. The gate's own product is computed in full and then replaced by the chosen set,
// so that density is exact and every cost of the real path is paid.
import {
  activationCodes,
  type Backend,
  type BufferDecl,
  type DType,
  type LoadedProgram,
  ProgramBuilder,
  rowBytes,
  type Session,
} from '@relufy/tensor';
import { takeTurns } from './measure.js';
import { fillBuffer, fillRandom, fillSelection, randomNumbers } from './synthetic.js';

export interface FfnShape {
  readonly kind: 'gated' | 'plain';
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly dtype: DType;
  /** Weights in all, at least. */
  readonly bytes: number;
}

export interface FfnResult {
  readonly density: number;
  readonly denseMs: number;
  readonly sparseMs: number;
  /** sparse / dense time. */
  readonly time: number;
  /** sparse / dense weight bytes. */
  readonly bytes: number;
  readonly spread: number;
}

const limits = { maxRows: 1, maxOutputs: 1 };

export async function benchFfn(
  backend: Backend,
  shape: FfnShape,
  densities: readonly number[],
  seconds: number,
): Promise<FfnResult[]> {
  const ffn = new Ffn(shape);
  const session = await backend.createSession(ffn.buffers, limits);
  try {
    for (const [seed, decl] of ffn.buffers.entries())
      await fillBuffer(session, decl, limits, (view) => fillRandom(view, decl, seed + 1));
    const dense = session.load(ffn.program(false));
    const sparse = session.load(ffn.program(true));
    const next = randomNumbers(99);
    const results: FfnResult[] = [];
    for (const density of densities) {
      await ffn.select(session, density, next);
      await check(dense, sparse);
      let sets = 0;
      const step = (loaded: LoadedProgram) => loaded.run({ rows: 1, outputs: 0 });
      const times = await takeTurns(
        {
          // the new set is drawn outside of the clock: between tasks
          draw: async () => {
            await ffn.select(session, density, next);
            sets++;
          },
          dense: () => step(dense),
          sparse: () => step(sparse),
        },
        { seconds: seconds / densities.length },
      );
      results.push({
        density,
        denseMs: times.dense.ms,
        sparseMs: times.sparse.ms,
        time: times.sparse.ms / times.dense.ms,
        bytes: ffn.bytesShare(density),
        spread: Math.max(times.dense.spread, times.sparse.spread),
      });
      if (sets < 7) throw new Error('internal: too few rounds');
    }
    return results;
  } finally {
    await session.dispose();
  }
}

/** Sparse equals dense bit for bit, and is not zero, before anything is timed. */
async function check(dense: LoadedProgram, sparse: LoadedProgram): Promise<void> {
  await dense.run({ rows: 1, outputs: 0 });
  const expected = (await dense.read('out')) as Float32Array;
  await sparse.run({ rows: 1, outputs: 0 });
  const actual = (await sparse.read('out')) as Float32Array;
  if (
    !expected.every((value, i) => Number.isFinite(value) && Object.is(value, actual[i])) ||
    expected.every((v) => v === 0)
  )
    throw new Error('internal: the sparse FFN gives another answer than the dense one; nothing was timed');
}

class Ffn {
  readonly buffers: readonly BufferDecl[];
  readonly #shape: FfnShape;
  readonly #layers: number;

  constructor(shape: FfnShape) {
    this.#shape = shape;
    const { hiddenSize, intermediateSize, dtype, kind } = shape;
    const perLayer =
      (kind === 'gated' ? 2 : 1) * intermediateSize * rowBytes(dtype, hiddenSize) +
      intermediateSize * rowBytes(dtype, hiddenSize);
    this.#layers = Math.ceil(shape.bytes / perLayer);
    const weight = (name: string, layer: number, transposed: boolean): BufferDecl => ({
      name: `${name}.${layer}`,
      kind: 'weight',
      dtype,
      shape: [intermediateSize, hiddenSize],
      ...(transposed && { transposed }),
    });
    this.buffers = [
      { name: 'in', kind: 'input', dtype: 'f32', shape: ['rows', hiddenSize] },
      ...Array.from({ length: this.#layers }, (_, layer): BufferDecl[] => [
        ...(kind === 'gated' ? [weight('gate', layer, false)] : []),
        weight('up', layer, false),
        weight('down', layer, true),
        { name: `selection.${layer}`, kind: 'input', dtype: 'f32', shape: ['rows', intermediateSize] },
      ]).flat(),
    ];
  }

  async select(session: Session, density: number, next: () => number): Promise<void> {
    for (const decl of this.buffers)
      if (decl.name.startsWith('selection.'))
        await fillBuffer(session, decl, limits, (view) => fillSelection(view as Float32Array, density, next));
  }

  /** Of the dense bytes: gate always; up and down as active (plain: up always, down as active). */
  bytesShare(density: number): number {
    return this.#shape.kind === 'gated' ? (1 + 2 * density) / 3 : (1 + density) / 2;
  }

  program(exact: boolean) {
    const { kind, hiddenSize, intermediateSize } = this.#shape;
    const builder = new ProgramBuilder(`ffn ${exact ? 'exact' : 'dense'}`, limits);
    const decls = new Map(this.buffers.map((decl) => [decl.name, decl]));
    const use = (name: string) => builder.use(decls.get(name) as BufferDecl);
    const activation = (name: string, width: number) => builder.activation(name, ['rows', width]);
    const relu = { kind: activationCodes.relu, threshold: 0 };
    let x = use('in');
    for (let layer = 0; layer < this.#layers; layer++) {
      const name = (part: string) => `${part}.${layer}`;
      const select = (from: string, tag: string) => {
        if (!exact) return {};
        const active = builder.activation(name(`active.${tag}`), ['rows', intermediateSize], 'i32');
        const activeCount = builder.activation(name(`count.${tag}`), ['rows'], 'i32');
        builder.op('selectActive', { x: from, active, activeCount });
        return { active, activeCount };
      };
      const product = (weight: string, rows: object, out: string) => {
        const w = use(name(weight));
        const input = builder.inputOf(decls.get(w) as BufferDecl, normed);
        builder.op('active' in rows ? 'gemvRows' : 'linear', { ...input, w, ...rows, out });
      };
      const chosen = use(name('selection'));
      const normed = activation(name('norm'), hiddenSize);
      const first = activation(name('first'), intermediateSize);
      const acted = activation(name('acted'), intermediateSize);
      builder.op('rmsNorm', { x, out: normed }, { eps: 1e-5 });
      product(kind === 'gated' ? 'gate' : 'up', {}, first);
      builder.op('activate', { x: first, out: acted }, relu);
      let h = chosen;
      if (kind === 'gated') {
        const up = activation(name('upOut'), intermediateSize);
        h = activation(name('h'), intermediateSize);
        product('up', select(chosen, 'gate'), up);
        builder.op('multiply', { a: chosen, b: up, out: h });
      }
      const next = activation(layer === this.#layers - 1 ? 'out' : name('x'), hiddenSize);
      const sparse = select(h, 'down');
      builder.op(exact ? 'axpyRows' : 'linear', { x: h, w: use(name('down')), ...sparse, residual: x, out: next });
      x = next;
    }
    builder.keep('out');
    return builder.build();
  }
}
