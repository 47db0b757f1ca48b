// Decoding in half of the memory that a model takes: neurons read from the file (memoryBudget), against the same file mapped
// and paged by the system, and against llama.cpp, which maps its file too. All under one limit on memory, page cache
// included. First the answer within the budget is compared with that in memory, bit for bit.
// Owns the comparison. Does not own the models (make-model.mjs, make-plan.mjs) or the limit (memory-limit.mjs).
//
//   node flash.mjs [--shape tinyllama | sweep] [--density 0.1] [--budget MB] [--rounds 3] [--tokens 16] [--threads 2]
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EngineClient } from './engine-client.mjs';
import { describeMachine } from './machine.mjs';
import { convert, makeModel } from './make-model.mjs';
import { makePredictorPlan } from './make-plan.mjs';
import { dropCaches, MemoryLimit } from './memory-limit.mjs';
import { shapes } from './shapes.mjs';
import { median } from './statistics.mjs';

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'tinyllama' },
    density: { type: 'string', default: '0.1' },
    budget: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '16' },
    threads: { type: 'string', default: '2' },
    out: { type: 'string', default: join(import.meta.dirname, 'models') },
  },
});
const contextLength = 128;
/** What Node and its code take beside a model. */
const processBytes = 100e6;
const [density, rounds, tokens, threads] = [values.density, values.rounds, values.tokens, values.threads].map(Number);
const shape = shapes[values.shape];

const files = await makeModel({ out: values.out, shape: values.shape, density, formats: ['q8_0'] });
const folder = join(files.sparse, '..');
const plan = await makePredictorPlan(join(folder, 'predictor'), shape, density);
const packed = join(folder, 'int8-predictor');
await convert(files.sparse, packed, 'int8', ['--plan', plan]);
const bundled = join(folder, 'int8-bundled');
await convert(files.sparse, bundled, 'int8', ['--plan', plan, '--bundle']);

const fileBytes = statSync(join(packed, 'model.safetensors')).size;
const budget = values.budget ? Number(values.budget) * 1e6 : Math.floor(fileBytes / 2);
const limitBytes = budget + processBytes;
const ours = { adapter: 'relufy', backend: 'native', model: packed, plan, threads, contextLength };
const engines = {
  budget: { ...ours, model: bundled, memoryBudget: budget },
  mapped: ours,
  'llama.cpp': { adapter: 'llama.cpp', model: files.gguf('q8_0'), threads, contextLength },
};

/** Ids that no two rounds share. */
let drawn = 0;
const draw = (count) => Array.from({ length: count }, () => 259 + ((drawn++ * 7919) % (shape.vocab - 259)));

async function digests() {
  const [prompt, ids] = [draw(24), draw(4)];
  const found = [];
  for (const spec of [engines.mapped, engines.budget]) {
    const client = await EngineClient.start(spec);
    found.push(await client.call('digest', prompt, ids));
    await client.stop();
  }
  return found[0] === found[1];
}

const limit = new MemoryLimit();
const result = { machine: describeMachine(), fileBytes, budget, limitBytes, density, sameBits: await digests() };
const samples = Object.fromEntries(Object.keys(engines).map((name) => [name, []]));
const found = {};
try {
  for (let round = 0; round < rounds; round++)
    for (const [name, spec] of Object.entries(engines)) {
      dropCaches();
      let client;
      try {
        // what is mapped is allowed to load first, and then has to make do
        limit.set(name === 'budget' ? limitBytes : Math.floor(1.7 * fileBytes));
        client = await limit.within(() => EngineClient.start(spec));
        limit.set(limitBytes);
        await client.call('decode', draw(16), draw(4));
        const { ms, ...measured } = await client.call('decode', draw(16), draw(tokens));
        samples[name].push((1000 * tokens) / ms);
        found[name] = {
          ...measured,
          tokenMs: undefined,
          density: undefined,
          peakBytes: await client.call('peakBytes'),
        };
        process.stderr.write(`round ${round + 1}, ${name}: ${samples[name].at(-1).toFixed(2)} tokens/s\n`);
      } catch (error) {
        // llama.cpp keeps a repacked copy of some formats, which no limit can take from it: EBUSY, or it is killed
        found[name] = { error: error.message };
        process.stderr.write(`round ${round + 1}, ${name}: ${error.message}\n`);
      } finally {
        await client?.stop();
      }
      await sleep(200); // the group empties
    }
} finally {
  limit.set(2 ** 40);
  await sleep(500);
  limit.remove();
}
for (const [name, list] of Object.entries(samples))
  result[name] = { tokensPerSecond: list.length > 0 ? median(list) : undefined, samples: list, ...found[name] };
for (const other of ['mapped', 'llama.cpp'])
  if (samples[other].length === samples.budget.length)
    result[`over ${other}`] = median(samples.budget.map((value, i) => value / samples[other][i]));
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
