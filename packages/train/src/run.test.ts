// Whole runs on a tiny model: what they write, that they repeat and resume bit for bit (killed for real), and how they
// fail.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasNormRelu, loadModel } from '@relufy/models';
import type { Backend } from '@relufy/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { type Metrics, parseRunConfig, type RunEvent, runTraining, type StartMetrics } from './index.js';
import { trainingBackends } from './testing/backends.js';
import { type TinyRun, tinyModel, tinyRun } from './testing/tiny-run.js';

const backends = await trainingBackends();

let tiny: TinyRun;
beforeAll(async () => {
  tiny = await tinyRun(mkdtempSync(join(tmpdir(), 'relufy-train-')));
});
afterAll(async () => {
  for (const [, backend] of backends) await backend.dispose();
  rmSync(tiny.folder, { recursive: true, force: true });
});

async function run(out: string, changes: Readonly<Record<string, unknown>> = {}, backend?: Backend) {
  const events: RunEvent[] = [];
  const folder = join(tiny.folder, out);
  const metrics = await runTraining(parseRunConfig(tiny.config(folder, changes)), {
    onEvent: (e) => events.push(e),
    ...(backend && { backend }),
  });
  return {
    folder,
    events,
    metrics: metrics as Metrics,
    weights: readFileSync(join(folder, 'model/model.safetensors')),
  };
}

const logged = (folder: string): (Metrics | StartMetrics)[] =>
  readFileSync(join(folder, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const steps = (folder: string) => logged(folder).filter((line): line is Metrics => line.step > 0);

async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('expected a failure');
}

describe('a run', () => {
  it('lowers the loss, and writes a model that loads', async () => {
    const validation = [{ path: join(tiny.folder, 'stories.txt'), separator: '---' }];
    const { folder, events } = await run('falls', { steps: 30, validation, evaluation: { every: 10, sequences: 4 } });
    const [start] = logged(folder);
    const metrics = steps(folder);
    // what it begins with: held-out alone, near that of guessing
    expect(start).toEqual({
      step: 0,
      tokens: 0,
      validationLoss: expect.closeTo(Math.log(tinyModel.vocab_size), 0),
      validationPerplexity: Math.exp(start?.validationLoss as number),
    });
    expect(metrics.map(({ step }) => step)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(metrics[0]?.loss).toBeGreaterThan(5);
    expect(metrics[29]?.loss).toBeLessThan(3.5);
    expect(metrics[29]?.validationLoss).toBeLessThan(3.5);
    expect(events.map(({ kind }) => kind)).toContain('checkpoint');
    // whatever takes long is told with its share
    for (const [what, share] of [
      ['encoding stories.txt', 1],
      ['training', 0.5],
      ['evaluating', 1],
    ] as const)
      expect(events).toContainEqual({ kind: 'progress', what, share });
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['step-00000027', 'step-00000030']);
    const curve = readFileSync(join(folder, 'loss.svg'), 'utf8');
    expect(curve).toContain('Loss of a token');
    // training and held-out, each with its sample in the legend
    expect(curve.match(/<path class="line /g)).toHaveLength(4);
    // what goes with the model says nothing of the machine
    expect(readFileSync(join(folder, 'model/training.json'), 'utf8')).not.toContain(tiny.folder);
    const model = await loadModel(join(folder, 'model'), { backend: 'reference' });
    const { text } = await model.generate('The fox', { maxNewTokens: 4, temperature: 0 }).result;
    expect(text.length).toBeGreaterThan(0);
    await model.dispose();
  });

  it('writes the model of every so many steps too, which is what a run of as many makes', async () => {
    const { folder, weights } = await run('often', { output: { every: 2 } });
    const file = (step: number) => readFileSync(join(folder, `models/step-0000000${step}/model.safetensors`));
    expect(readdirSync(join(folder, 'models'))).toEqual(['step-00000002', 'step-00000004', 'step-00000006']);
    expect(file(6).equals(weights)).toBe(true);
    const half = await run('half', {
      steps: 2,
      optimizer: { learningRate: 1e-2, warmupSteps: 2, schedule: 'constant' },
    });
    const whole = await run('whole', {
      optimizer: { learningRate: 1e-2, warmupSteps: 2, schedule: 'constant' },
      output: { every: 2 },
    });
    expect(half.weights.equals(readFileSync(join(whole.folder, 'models/step-00000002/model.safetensors')))).toBe(true);
  });

  it('trains a recurrent mixer from drawn weights, and its model loads', async () => {
    const { vocab_size, hidden_size, num_hidden_layers } = tinyModel;
    const config = { model_type: 'rwkv', vocab_size, hidden_size, num_hidden_layers, context_length: 64 };
    const { folder } = await run('recurrent', {
      ...{ model: { config, tokenizer: join(tiny.folder, 'tokenizer') }, steps: 30 },
    });
    const metrics = steps(folder);
    expect(metrics[0]?.loss).toBeGreaterThan(5);
    expect(metrics[29]?.loss).toBeLessThan(3.6);
    const model = await loadModel(join(folder, 'model'), { backend: 'reference' });
    expect(model.spec.mixer.kind).toBe('rwkv4');
    const { text } = await model.generate('The fox', { maxNewTokens: 4, temperature: 0 }).result;
    expect(text.length).toBeGreaterThan(0);
    await model.dispose();
  });

  it('repeats bit for bit', async () => {
    expect((await run('first')).weights.equals((await run('second')).weights)).toBe(true);
    expect((await run('third', { seed: 8 })).weights.equals((await run('fourth')).weights)).toBe(false);
  });

  it.each(backends)(
    'killed and resumed equals one that was never stopped, bit for bit, on %s',
    async (name, backend) => {
      const changes = { steps: 9, data: [{ path: join(tiny.folder, 'pairs.jsonl') }], packing: 'documents' };
      const { weights } = await run(
        `whole-${name}`,
        { ...changes, optimizer: { learningRate: 1e-2, emaDecay: 0.9 } },
        backend,
      );
      const out = join(tiny.folder, `killed-${name}`);
      const file = join(tiny.folder, `killed-${name}.yaml`);
      writeFileSync(
        file,
        stringify(tiny.config(out, { ...changes, optimizer: { learningRate: 1e-2, emaDecay: 0.9 } })),
      );
      // killed while it goes on behind step 4: the checkpoint of step 3 is what is left
      expect(await child(file, name, 'step 5')).toBe('SIGKILL');
      expect(readdirSync(join(out, 'checkpoints'))).toEqual(['step-00000003']);
      expect(await child(file, name)).toBe(0);
      expect(readFileSync(join(out, 'model/model.safetensors')).equals(weights)).toBe(true);
      expect(steps(out).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    },
  );
});

describe('parts', () => {
  const short = () => {
    const texts = Array.from({ length: 90 }, (_, i) => `${'The owl. '.repeat((i * 7) % 5)}Who?`);
    writeFileSync(join(tiny.folder, 'short.jsonl'), texts.map((text) => JSON.stringify({ text })).join('\n'));
    return 'short.jsonl';
  };
  it.each([
    ['documents', 'pairs.jsonl'],
    ['documents', short],
    ['stream', 'stories.txt'],
  ] as const)('of %s see the same tokens and have the same loss, in any number (%#)', async (packing, data) => {
    const path = join(tiny.folder, typeof data === 'string' ? data : data());
    const changes = { packing, batchSize: 4, data: [{ path }], validation: [{ path }], evaluation: { every: 3 } };
    const runs: Metrics[][] = [];
    for (const parts of [1, 2, 4])
      runs.push(
        steps(
          (await run(`parts-${packing}-${typeof data}-${parts}`, { ...changes, gradientAccumulationSteps: parts }))
            .folder,
        ),
      );
    const [whole, ...others] = runs as [Metrics[], ...Metrics[][]];
    for (const metrics of others) {
      expect(metrics.map(({ tokens }) => tokens)).toEqual(whole.map(({ tokens }) => tokens));
      for (const [i, { loss, gradientNorm, density, validationLoss }] of metrics.entries()) {
        const expected = whole[i] as Metrics;
        expect(loss / expected.loss).toBeCloseTo(1, 5);
        expect(gradientNorm / expected.gradientNorm).toBeCloseTo(1, 3);
        expect(density).toEqual(expected.density.map((share) => expect.closeTo(share, 2)));
        if (expected.validationLoss) expect((validationLoss as number) / expected.validationLoss).toBeCloseTo(1, 5);
      }
    }
  });
});

/** Runs a config in a process; kills it when it prints a line. Gives how it ended. */
function child(config: string, backend: string, killAt?: string): Promise<number | NodeJS.Signals | null> {
  const script = fileURLToPath(new URL('./testing/run-child.mjs', import.meta.url));
  const process_ = spawn(process.execPath, [script, config, backend], { stdio: ['ignore', 'pipe', 'inherit'] });
  process_.stdout.on('data', (text) => {
    if (killAt !== undefined && String(text).includes(killAt)) process_.kill('SIGKILL');
  });
  return new Promise((resolve) => process_.on('close', (code, signal) => resolve(signal ?? code)));
}

describe('terms', () => {
  it('an L1 term and HeLU make a ReLU model sparser', async () => {
    const config = { ...tinyModel, hidden_act: 'relu' };
    const relu = { config, tokenizer: join(tiny.folder, 'tokenizer'), initializerRange: 0.3 };
    const plain = await run('plain', { model: relu, steps: 25 });
    const sparse = await run('sparse', {
      model: relu,
      steps: 25,
      heluAlpha: 0.01,
      l1: [
        { until: 3, lambda: 0 },
        { until: 10, lambda: 0.3 },
      ],
    });
    const mean = ({ metrics }: { metrics: Metrics }) => (metrics.density.reduce((a, b) => a + b, 0) / 2) as number;
    expect(mean(plain)).toBeGreaterThan(0.2);
    expect(mean(sparse)).toBeLessThan(mean(plain));
    expect(sparse.metrics.lambda).toBe(0.3);
    expect(sparse.metrics.penalty).toBeGreaterThan(0);
  });

  it('distillation brings a relufied model back to its original, which it can end as', async () => {
    const wide = { config: tinyModel, tokenizer: join(tiny.folder, 'tokenizer'), initializerRange: 0.3 };
    const teacher = join((await run('teacher', { steps: 20, model: wide })).folder, 'model');
    const changes = {
      model: { from: teacher, relufy: { stage: 2, shift: 0.01 } },
      distillation: { teacher, weight: 1, lossWeight: 0, tokens: 16 },
      steps: 20,
      optimizer: { learningRate: 3e-3 },
    };
    const { folder } = await run('student', changes);
    const metrics = steps(folder);
    expect(metrics[19]?.divergence).toBeLessThan((metrics[0]?.divergence as number) / 2);
    const config = JSON.parse(readFileSync(join(folder, 'model/config.json'), 'utf8'));
    expect(config).toMatchObject({ model_type: 'relufy_llama', hidden_act: 'shifted_relu', relufy: { stage: 2 } });
    const model = await loadModel(join(folder, 'model'), { backend: 'reference' });
    expect(hasNormRelu(model.spec)).toBe(true);
    expect(model.spec.ffn.activation).toEqual({ kind: 'relu', threshold: 0.01 });
    await model.dispose();
  });
});

describe('bad input', () => {
  it('numbers that explode stop the run, say where, and leave the last checkpoint', async () => {
    const changes = {
      optimizer: { learningRate: 1e30, maxGradNorm: 0, schedule: 'constant' },
      checkpoint: { every: 1 },
    };
    const message = await failure(run('explodes', changes));
    expect(message).toMatch(/^training step 2: expected .*, got loss .* The last good checkpoint is .*step-00000001/);
  });

  it.each(backends)('a loss that is not a number is traced to its layer: %s', async (name, backend) => {
    const { folder } = await run(`traced-${name}`, { steps: 1 });
    const file = join(folder, 'model/model.safetensors');
    const bytes = readFileSync(file);
    const headBytes = Number(bytes.readBigUInt64LE());
    const head = JSON.parse(bytes.toString('utf8', 8, 8 + headBytes));
    // their product is beyond f32
    for (const weight of ['gate', 'up']) {
      const [from, to] = head[`model.layers.1.mlp.${weight}_proj.weight`].data_offsets;
      for (let at = from; at < to; at += 4) bytes.writeFloatLE(1e38, 8 + headBytes + at);
    }
    writeFileSync(file, bytes);
    const model = { from: join(folder, 'model') };
    expect(await failure(run(`from-traced-${name}`, { model }, backend))).toMatch(
      /^training step 1: expected .*, got loss NaN .*, first in the output of layer 1\. There is no checkpoint yet/,
    );
    // nor does the log say null for one that was held out
    const validation = [{ path: join(tiny.folder, 'stories.txt'), separator: '---' }];
    expect(await failure(run(`held-out-${name}`, { model, validation }, backend))).toMatch(
      /^layer 1: linear with "layers\.1\.(gate|up)\.weight": expected finite numbers, got \S+ at position \d+/,
    );
    expect(readFileSync(join(tiny.folder, `held-out-${name}/metrics.jsonl`), 'utf8')).toBe('');
  });

  it('a changed config is refused on resume', async () => {
    await run('changed');
    expect(await failure(run('changed', { contextLength: 10 }))).toMatch(
      /run.json "contextLength": expected the config that the run began with, 12, got 10\. Change it back/,
    );
    // more checkpoints change no number
    await run('changed', { checkpoint: { every: 2 } });
  });

  it('a run of an earlier version, whose keys had other names, goes on', async () => {
    const { folder } = await run('earlier');
    const file = join(folder, 'run.json');
    const written = readFileSync(file, 'utf8');
    const names = { initializerRange: 'initDeviation', gradientAccumulationSteps: 'parts', maxGradNorm: 'maxNorm' };
    const before = Object.entries(names).reduce((text, [now, old]) => text.replace(`"${now}"`, `"${old}"`), written);
    expect(before).not.toBe(written);
    writeFileSync(file, before);
    const { events } = await run('earlier');
    expect(events).toContainEqual(expect.objectContaining({ kind: 'resumed', step: 6 }));
    expect(await failure(run('earlier', { gradientAccumulationSteps: 2 }))).toMatch(
      /run.json "gradientAccumulationSteps": expected the config that the run began with, 1, got 2\./,
    );
  });

  it.each([
    ['short', { contextLength: 60, data: 'short.txt' }, /expected more than contextLength \(60\) tokens, got \d+/],
    ['missing', { data: 'nothing.txt' }, /nothing.txt: expected data, got ENOENT/],
    ['empty', { data: 'empty.txt' }, /empty.txt: expected documents, got none/],
    ['unknown', { sedd: 3 }, /config "sedd": unknown\. Expected one of/],
    ['deep', { optimizer: { learningRate: 1, rate: 2 } }, /config "optimizer.rate": unknown\. Expected one of/],
    ['unscored', { data: 'unscored.jsonl' }, /line 1: expected a message of the assistant, got none/],
    ['line', { data: 'broken.jsonl' }, /broken.jsonl line 2: expected JSON/],
    ['keys', { data: 'keys.jsonl' }, /line 1: expected "prompt" and "answer", "messages" or "text"/],
    ['long', { contextLength: 100 }, /contextLength: expected at most 64/],
    ['parts', { gradientAccumulationSteps: 3 }, /"gradientAccumulationSteps": expected a divisor of batchSize/],
    ['rate', { optimizer: { learningRate: 'x' } }, /"optimizer.learningRate": expected a number >= 0, got "x"/],
  ])('%s', async (name, { data, ...changes }: { data?: string; [key: string]: unknown }, expected) => {
    writeFileSync(join(tiny.folder, 'short.txt'), 'The fox.');
    writeFileSync(join(tiny.folder, 'empty.txt'), '\n\n');
    writeFileSync(join(tiny.folder, 'unscored.jsonl'), '{"messages": [{"role": "user", "content": "Who?"}]}\n');
    writeFileSync(join(tiny.folder, 'broken.jsonl'), '{"text": "a"}\n{"text": \n');
    writeFileSync(join(tiny.folder, 'keys.jsonl'), '{"question": "a"}\n');
    const path = data && { data: [{ path: join(tiny.folder, data) }] };
    expect(await failure(run(`bad-${name}`, { ...changes, ...(path || {}) }))).toMatch(expected);
  });

  it('a vocabulary that does not match', async () => {
    const model = { config: { ...tinyModel, vocab_size: 280 }, tokenizer: join(tiny.folder, 'tokenizer') };
    expect(await failure(run('vocabulary', { model }))).toMatch(/expected at most 280 tokens .*, got 300/);
  });
});
