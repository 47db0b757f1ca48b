// Relufy's side: relufy.mjs FOLDER IDS BATCH CONTEXT THREADS BACKEND RECOMPUTE. A line on stdin is a step; a JSON line
// answers. The same steps as pytorch.py.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const [folder, idsFile, batch, context, threads, backendName, recompute] = process.argv
  .slice(2)
  .map((arg) => (/^\d+$/.test(arg) ? Number(arg) : arg));
const built = (path) => import(new URL(`../../packages/${path}`, import.meta.url).href);
const { folderFiles } = await built('checkpoint/dist/node.js');
const { createBackend, planModel } = await built('models/dist/node.js');
const { TrainingSession } = await built('train/dist/index.js');

const say = (values) => process.stdout.write(`${JSON.stringify(values)}\n`);

const plan = await planModel(await folderFiles(folder), { contextLength: context });
const { backend, description } = await createBackend({ backend: backendName, threads });
const rows = batch * context;
const training = await TrainingSession.create(backend, plan.spec, {
  limits: { maxRows: rows, maxOutputs: rows },
  slots: batch,
  contextLength: context,
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  groups: [
    { match: ({ shape }) => shape.length > 1, weightDecay: 0.1, lrScale: 1 },
    { match: () => true, weightDecay: 0, lrScale: 1 },
  ],
  gradientCheckpointing: recompute === 'recompute',
});
await plan.sources.load({ name: folder, session: training.session, buffers: training.step.buffers });
await plan.checkpoint.close();

const bytes = readFileSync(idsFile);
const ids = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length >> 1);
const each = (of) => Int32Array.from({ length: rows }, (_, row) => of(Math.floor(row / context), row % context));

function partOf(step) {
  const from = (step * batch * (context + 1)) % (ids.length - batch * (context + 1));
  const id = (sequence, position) => ids[from + sequence * (context + 1) + position];
  return {
    tokens: each(id),
    positions: each((_, position) => position),
    slots: each((sequence) => sequence),
    outputRows: Int32Array.from({ length: rows }, (_, row) => row),
    targets: each((sequence, position) => id(sequence, position + 1)),
    weights: new Float32Array(rows).fill(1 / rows),
  };
}

const { spec } = training;
const weights = training.step.parameters.reduce(
  (sum, { parameter: { shape } }) => (shape.length > 1 ? sum + shape.reduce((a, b) => a * b) : sum),
  0,
);
say({
  description,
  sessionBytes: training.session.memoryBytes,
  weights,
  layers: spec.numHiddenLayers,
  hidden: spec.hiddenSize,
});

const update = { learningRate: 1e-4, maxGradNorm: 1 };
let step = 0;
for await (const _ of createInterface({ input: process.stdin })) {
  const part = partOf(step++);
  const began = performance.now();
  const { loss, active } = await training.accumulate(part);
  await training.gradientNorm(update);
  await training.update(update);
  const seconds = (performance.now() - began) / 1000;
  const density = active.reduce((a, b) => a + b) / (rows * spec.intermediateSize * spec.numHiddenLayers);
  say({ seconds, loss, density, peakBytes: process.resourceUsage().maxRSS * 1024 });
}
await training.dispose();
await backend.dispose();
