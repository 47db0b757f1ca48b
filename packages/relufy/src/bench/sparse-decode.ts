// Decoding of a whole synthetic model at stated densities, exact sparse against dense SiLU weights of the same size, in
// turns. Weights are random, so pre-activations are normal: a shift of the ReLU sets the density at down, a bias of the
// norms that at the inputs of qkv and gate or up (stage 2). What was reached is counted in every step, and told.
// Does not own the shape (decode.ts) or the clock (measure.ts).
import { buildDecoder, type DecoderProgram, type ModelSpec, relufy, withNormRelu } from '@relufy/models';
import {
  type BufferDecl,
  type DType,
  type HostBackend,
  type HostProgram,
  type HostSession,
  RelufyError,
} from '@relufy/tensor';
import { takeTurns } from './measure.js';
import { fillRandom } from './synthetic.js';

/** Shares of what is not zero; without `qkv` and `upGate` the norms have no ReLU. */
export interface DensityPoint {
  readonly down: number;
  readonly qkv?: number;
  readonly upGate?: number;
}

export interface SparseDecodeResult {
  readonly wanted: DensityPoint;
  readonly reached: Required<DensityPoint>;
  readonly tokensPerSecond: number;
  readonly denseTokensPerSecond: number;
  readonly bytes: number;
  readonly denseBytes: number;
  readonly spread: number;
}

const limits = { maxRows: 1, maxOutputs: 1 };
const position = 128;

export async function benchSparseDecode(
  backend: HostBackend,
  shape: ModelSpec,
  dtype: DType,
  points: readonly DensityPoint[],
  seconds: number,
): Promise<SparseDecodeResult[]> {
  const open: Synthetic[] = [];
  const openOne = async (spec: ModelSpec) => {
    const opened = await Synthetic.open(backend, spec, dtype);
    open.push(opened);
    return opened;
  };
  try {
    const dense = await openOne(shape);
    const denseStep = dense.load(shape, 'dense');
    const results: SparseDecodeResult[] = [];
    const models = new Map<boolean, Synthetic>();
    for (const wanted of points) {
      const stage2 = wanted.qkv !== undefined;
      const stage1 = relufy(shape, { stage: 1 });
      const relu = stage2 ? withNormRelu({ ...stage1, norm: { ...shape.norm, kind: 'layer', bias: true } }) : stage1;
      const model = models.get(stage2) ?? (await openOne(relu));
      models.set(stage2, model);
      model.setInputs(wanted);
      const step = await model.calibrate(relu, wanted.down);
      const reached = { down: 0, qkv: 0, upGate: 0 };
      let [steps, bytes] = [0, 0];
      const times = await takeTurns(
        {
          dense: () => dense.run(denseStep),
          sparse: () => model.run(step),
          // between tasks, so that it is not timed
          count: async () => {
            steps++;
            const counted = model.count(step);
            bytes += counted.bytes;
            for (const site of ['down', 'qkv', 'upGate'] as const) reached[site] += counted[site];
          },
        },
        { seconds },
      );
      results.push({
        wanted,
        reached: { down: reached.down / steps, qkv: reached.qkv / steps, upGate: reached.upGate / steps },
        tokensPerSecond: 1000 / times.sparse.ms,
        denseTokensPerSecond: 1000 / times.dense.ms,
        bytes: bytes / steps,
        denseBytes: dense.count(denseStep).bytes,
        spread: Math.max(times.sparse.spread, times.dense.spread),
      });
    }
    return results;
  } finally {
    for (const model of open) await model.dispose();
  }
}

interface Step {
  readonly built: DecoderProgram;
  readonly loaded: HostProgram;
}

/** A model of random weights in one layout: all thresholds share it. */
class Synthetic {
  readonly #session: HostSession;
  readonly #buffers: readonly BufferDecl[];
  readonly #dtype: DType;
  readonly #vocabSize: number;
  #steps = 0;

  private constructor(session: HostSession, buffers: readonly BufferDecl[], dtype: DType, vocabSize: number) {
    this.#vocabSize = vocabSize;
    this.#session = session;
    this.#buffers = buffers;
    this.#dtype = dtype;
  }

  static async open(backend: HostBackend, spec: ModelSpec, dtype: DType): Promise<Synthetic> {
    const { buffers } = decoderOf(spec, dtype);
    const session = await backend.createSession(buffers, limits);
    buffers.forEach((decl, seed) => {
      const view = session.view(decl.name);
      if (/[nN]orm\.weight$/.test(decl.name)) view.fill(1);
      else if (/bias$/.test(decl.name)) view.fill(0);
      // neurons that repeat are active together: those that decide repeat late
      else if (decl.kind === 'weight' || decl.kind === 'constant')
        fillRandom(view, decl, seed + 1, /(gate|up)\.weight$/.test(decl.name) ? 1024 : 61);
    });
    session.view('slots').fill(0);
    session.view('outputRows').fill(0);
    session.view('positions').fill(position);
    return new Synthetic(session, buffers, dtype, spec.vocabSize);
  }

  load(spec: ModelSpec, sparsity: 'dense' | 'exact'): Step {
    const built = decoderOf(spec, this.#dtype).build({ sparsity });
    return { built, loaded: this.#session.load(built.program) };
  }

  /** Another token in every step, so that no set of neurons repeats. */
  async run({ loaded }: Step): Promise<void> {
    this.#session.view('tokens').fill((this.#steps++ * 7919) % this.#vocabSize);
    await loaded.run({ rows: 1, outputs: 1 });
  }

  /** Biases of the norms behind which a ReLU stands. */
  setInputs({ qkv = 1, upGate = 1 }: DensityPoint): void {
    for (const { name } of this.#buffers) {
      if (name.endsWith('attentionNorm.bias')) this.#session.view(name).fill(normalQuantile(qkv));
      if (name.endsWith('ffnNorm.bias')) this.#session.view(name).fill(normalQuantile(upGate));
    }
  }

  /** The exact step whose ReLU is shifted so far that the wanted share passes, checked against the dense one. */
  async calibrate(spec: ModelSpec, wanted: number): Promise<Step> {
    const shifted = (threshold: number): ModelSpec => ({
      ...spec,
      ffn: { ...spec.ffn, activation: { kind: 'relu', threshold } },
    });
    let [low, high] = [0, 5];
    for (let round = 0; round < 9; round++) {
      const threshold = (low + high) / 2;
      const density = await this.#densityOf(this.load(shifted(threshold), 'exact'));
      if (density > wanted) low = threshold;
      else high = threshold;
    }
    const threshold = (low + high) / 2;
    const [exact, dense] = [this.load(shifted(threshold), 'exact'), this.load(shifted(threshold), 'dense')];
    await this.run(exact);
    const logits = (exact.loaded.view('logits') as Float32Array).slice();
    this.#steps--;
    await this.run(dense);
    const expected = dense.loaded.view('logits') as Float32Array;
    if (!logits.every((value, i) => Number.isFinite(value) && Object.is(value, expected[i])))
      throw new Error('internal: sparse and dense decoding disagree; nothing was timed');
    return exact;
  }

  async #densityOf(step: Step): Promise<number> {
    let sum = 0;
    const tokens = 4;
    for (let i = 0; i < tokens; i++) {
      await this.run(step);
      sum += this.count(step).down;
    }
    return sum / tokens;
  }

  /** Of the last step: shares that were read, means over layers, and bytes of weights. */
  count({ built, loaded }: Step): Required<DensityPoint> & { readonly bytes: number } {
    const shares = { down: [0, 0], qkv: [0, 0], upGate: [0, 0] } as Record<keyof DensityPoint, [number, number]>;
    let bytes = 0;
    for (const { site, rows, rowBytes, activeCount } of built.reads) {
      const read = activeCount === undefined ? rows : (loaded.view(activeCount)[0] as number);
      bytes += read * rowBytes;
      const share = shares[site as keyof DensityPoint];
      if (share === undefined) continue;
      share[0] += read;
      share[1] += rows;
    }
    const of = ([read, all]: [number, number]) => read / all;
    return { bytes, down: of(shares.down), qkv: of(shares.qkv), upGate: of(shares.upGate) };
  }

  dispose(): Promise<void> {
    return this.#session.dispose();
  }
}

const decoderOf = (spec: ModelSpec, dtype: DType) =>
  buildDecoder(spec, { limits, slots: 1, contextLength: 512, matrixDType: () => dtype });

/** The x below which a standard normal number lies with this probability; 1 counts as nearly 1. */
function normalQuantile(probability: number): number {
  let [low, high] = [-8, 8];
  for (let round = 0; round < 60; round++) {
    const middle = (low + high) / 2;
    if (normalCdf(middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** By Simpson's rule from 0: called a few hundred times. */
function normalCdf(x: number): number {
  const [steps, density] = [400, (t: number) => Math.exp((-t * t) / 2) / Math.sqrt(2 * Math.PI)];
  let sum = density(0) + density(x);
  for (let i = 1; i < steps; i++) sum += density((x * i) / steps) * (i % 2 === 1 ? 4 : 2);
  return 0.5 + (sum * x) / steps / 3;
}

/** `0.35` or `0.28/0.5/0.5`: down, then qkv and upGate. */
export function parseDensities(text: string): DensityPoint[] {
  return text.split(',').map((point) => {
    const numbers = point.split('/').map(Number);
    const [down, qkv, upGate] = numbers as [number, number?, number?];
    if ((numbers.length !== 1 && numbers.length !== 3) || !numbers.every((share) => share > 0 && share < 1))
      throw new RelufyError(
        'option',
        `--densities "${point}": expected DOWN or DOWN/QKV/UP, shares between 0 and 1. For example 0.3,0.25/0.5/0.5.`,
      );
    return { down, ...(qkv !== undefined && { qkv }), ...(upGate !== undefined && { upGate }) };
  });
}
