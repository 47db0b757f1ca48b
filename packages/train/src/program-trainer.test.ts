// Training without a decoder: the losses have the slopes that they say, and a small predictor of two layers learns which
// neurons of a ReLU are active, on every backend, as predictors and routers are fitted.
import {
  type BufferDecl,
  createReferenceBackend,
  type HostBackend,
  type HostSession,
  ProgramBuilder,
} from '@relufy/tensor';
import { afterAll, describe, expect, it } from 'vitest';
import { appendLoss, buildTrainedProgram, type LossOptions, ProgramTrainer } from './index.js';
import { Random } from './random.js';
import { trainingBackends } from './testing/backends.js';

const [width, rank, neurons, rows] = [8, 6, 12, 32];

const buffer = (kind: BufferDecl['kind'], name: string, shape: BufferDecl['shape']): BufferDecl => ({
  ...{ kind, name, shape },
  dtype: 'f32',
});

/** relu(x a + bias) b, with a loss on each of its outputs. */
function predictor(kind: Exclude<LossOptions['kind'], 'crossEntropy'>, frozen: readonly string[] = []) {
  const x = buffer('input', 'x', ['rows', width]);
  const [target, weight] = ['target', 'weight'].map((name) => buffer('input', name, ['rows', neurons])) as [
    BufferDecl,
    BufferDecl,
  ];
  const a = buffer('state', 'a', [rank, width]);
  const bias = buffer('state', 'bias', [rank]);
  const b = buffer('state', 'b', [neurons, rank]);
  const builder = new ProgramBuilder('predictor', { maxRows: rows, maxOutputs: 1 }, { differentiable: true });
  const [inner, hidden] = [builder.activation('inner', ['rows', rank]), builder.activation('hidden', ['rows', rank])];
  const output = builder.activation('output', ['rows', neurons]);
  builder.op('linear', { x: builder.use(x), w: builder.use(a), bias: builder.use(bias), out: inner });
  builder.op('activate', { x: inner, out: hidden }, { kind: 0, threshold: 0 });
  builder.op('linear', { x: hidden, w: builder.use(b), out: output });
  const loss = appendLoss(builder, { kind, output, target, weight });
  return buildTrainedProgram({
    builder,
    buffers: [x, target, weight, a, bias, b],
    trainable: [a, bias, b],
    loss,
    optimizer: {
      ...{ beta1: 0.9, beta2: 0.99, eps: 1e-8 },
      groups: [
        { match: ({ name }) => frozen.includes(name), weightDecay: 0, lrScale: 0 },
        { match: () => true, weightDecay: 0, lrScale: 1 },
      ],
    },
  });
}

const step = { rows, outputs: 0 };

/** A layer of a model: which of its neurons are active at an input. */
function teacher(seed: number) {
  const random = new Random(seed);
  const gate = Float32Array.from({ length: neurons * width }, () => random.normal());
  return () => {
    const x = Float32Array.from({ length: rows * width }, () => random.normal());
    const target = Float32Array.from({ length: rows * neurons }, (_, at) => {
      const [row, neuron] = [Math.floor(at / neurons), at % neurons];
      let sum = 0;
      for (let i = 0; i < width; i++) sum += (x[row * width + i] as number) * (gate[neuron * width + i] as number);
      return sum > 0 ? 1 : 0;
    });
    return { x, target };
  };
}

type HostTrainer = ProgramTrainer<HostSession>;

async function begin(backend: HostBackend, trained = predictor('binaryCrossEntropy')): Promise<HostTrainer> {
  const trainer = await ProgramTrainer.create(backend, trained);
  const random = new Random(5);
  for (const { parameter } of trained.parameters) {
    const view = trainer.session.view(parameter.name);
    for (let i = 0; i < view.length; i++) view[i] = 0.4 * random.normal();
  }
  trainer.session.view('weight').fill(1 / (rows * neurons));
  return trainer;
}

function fill({ session }: HostTrainer, batch: { readonly x: Float32Array; readonly target: Float32Array }): void {
  session.view('x').set(batch.x);
  session.view('target').set(batch.target);
}

const backends = await trainingBackends();
afterAll(async () => {
  for (const [, backend] of backends) await backend.dispose();
});

describe('a predictor of two layers', () => {
  it.each(backends)('learns which neurons are active, on %s', async (_, backend) => {
    const trainer = await begin(backend);
    const next = teacher(11);
    const heldOut = next();
    fill(trainer, heldOut);
    const before = await trainer.evaluate(step);
    const update = { learningRate: 0.03, maxGradNorm: 1 };
    for (let at = 0; at < 150; at++) {
      fill(trainer, next());
      await trainer.accumulate(step);
      expect(await trainer.gradientNorm(update)).toBeGreaterThan(0);
      await trainer.update(update);
    }
    fill(trainer, heldOut);
    const after = await trainer.evaluate(step);
    expect(after.loss).toBeLessThan(before.loss / 3);
    const output = await trainer.kept('output');
    const right = heldOut.target.filter((target, at) => (target === 1) === (output[at] as number) > 0);
    expect(right.length / heldOut.target.length).toBeGreaterThan(0.9);
    await trainer.dispose();
  });

  it('in parts has the gradients of the whole, and what is frozen stays', async () => {
    const backend = createReferenceBackend();
    const trainer = await begin(backend, predictor('squaredError', ['bias']));
    trainer.session.view('bias').fill(0.25);
    expect(trainer.trained.parameters.map(({ parameter }) => parameter.name)).toEqual(['a', 'b']);
    const batch = teacher(3)();
    fill(trainer, batch);
    const whole = await trainer.accumulate(step);
    const gradient = trainer.session.view('a.gradient').slice();
    await trainer.discard();
    const half = { rows: rows / 2, outputs: 0 };
    const first = await trainer.accumulate(half);
    trainer.session.view('x').set(batch.x.subarray((rows / 2) * width));
    trainer.session.view('target').set(batch.target.subarray((rows / 2) * neurons));
    const second = await trainer.accumulate(half);
    expect(first.loss + second.loss).toBeCloseTo(whole.loss, 6);
    trainer.session.view('a.gradient').forEach((value, at) => {
      expect(value).toBeCloseTo(gradient[at] as number, 6);
    });
    const update = { learningRate: 0.1, maxGradNorm: 0 };
    await trainer.gradientNorm(update);
    await trainer.update(update);
    expect([...trainer.session.view('bias')]).toEqual(new Array(rank).fill(0.25));
    // an update takes the gradients
    expect([...trainer.session.view('b.gradient')].every((value) => value === 0)).toBe(true);
    await trainer.dispose();
  });
});

describe('losses', () => {
  it.each(['squaredError', 'binaryCrossEntropy'] as const)('%s has the slope of its value', async (kind) => {
    const trainer = await begin(createReferenceBackend(), predictor(kind));
    const random = new Random(9);
    const { session } = trainer;
    fill(trainer, teacher(2)());
    // targets may be any number, and every output may count differently
    const target = session.view('target');
    target.forEach((value, at) => {
      target[at] = kind === 'squaredError' ? random.normal() : 0.1 + 0.8 * value;
    });
    const weight = session.view('weight');
    weight.forEach((_, at) => {
      weight[at] = random.next();
    });
    await trainer.accumulate(step);
    for (const [name, at] of [
      ['a', 7],
      ['bias', 2],
      ['b', 30],
    ] as const) {
      const slope = session.view(`${name}.gradient`)[at] as number;
      const value = session.view(name)[at] as number;
      const at1 = async (moved: number) => {
        session.view(name)[at] = moved;
        return (await trainer.evaluate(step)).loss;
      };
      const measured = ((await at1(value + 1e-2)) - (await at1(value - 1e-2))) / 2e-2;
      session.view(name)[at] = value;
      expect(Math.abs(slope)).toBeGreaterThan(0.01);
      expect(measured / slope).toBeCloseTo(1, 2);
    }
    await trainer.dispose();
  });

  it('binaryCrossEntropy is finite for logits of any size', async () => {
    const trainer = await begin(createReferenceBackend());
    fill(trainer, teacher(2)());
    for (const name of ['a', 'b']) trainer.session.view(name).fill(1e3);
    const { loss } = await trainer.accumulate(step);
    expect(Number.isFinite(loss)).toBe(true);
    expect(await trainer.gradientNorm({ learningRate: 0, maxGradNorm: 0 })).toBeLessThan(1e6);
    await trainer.dispose();
  });
});

it('programs that have nothing to train are refused', () => {
  expect(() => predictor('squaredError', ['a', 'bias', 'b'])).toThrow(/expected parameters to train, got groups/);
});
