// Requests a second of `relufy eval` beside lm-evaluation-harness's `hf` model: same weights in f32, same documents, same
// threads, interleaved, at several batch sizes of `hf`. Scores are compared before speed counts. Writes a Markdown page.
// Does not own either side's scoring: hf.py asks the harness, ours is @relufy/eval as the command runs it.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { evalModel, evaluate, TaskRegistry } from '../../apps/eval/dist/index.js';
import { loadModel } from '../../packages/models/dist/node.js';

const text = (value) => ({ type: 'string', default: value });
const { values } = parseArgs({
  options: {
    python: text('python3'),
    shared: text(fileURLToPath(new URL('../../../shared', import.meta.url))),
    threads: text('2'),
    limit: text('40'),
    rounds: text('2'),
    batches: text('1,4,16'),
    tasks: text('piqa,arc_easy'),
    'context-length': text('1024'),
    backend: text('native'),
    out: { type: 'string' },
  },
});
const files = { piqa: 'piqa__validation', arc_easy: 'ai2_arc__ARC-Easy__validation' };
const tasks = values.tasks.split(',');
const [threads, limit, rounds] = [values.threads, values.limit, values.rounds].map(Number);
const batches = values.batches.split(',').map(Number);
const folder = `${values.shared}/models/smollm2-135m-instruct`;

const rival = startRival();
const versions = (await rival.answer()).ready;
const model = await loadModel(folder, {
  backend: values.backend,
  dtype: 'f32',
  threads,
  contextLength: Number(values['context-length']),
  slots: { most: 13, kvBytes: 2 ** 30 },
});
const registry = await TaskRegistry.open();
const lines = [];
const say = (line) => {
  lines.push(line);
  console.log(line);
};
const loads = [os.loadavg()[0]];

say(`# Requests a second: relufy eval beside lm-evaluation-harness's hf model

SmolLM2-135M-Instruct in f32, ${threads} threads, the first ${limit} documents, ${rounds} interleaved rounds; ${os.cpus()[0].model}, ${os.cpus().length} cores.
Relufy: ${model.backend}, ${model.scoringLanes} continuations at once, a context of ${model.contextLength}. hf: lm-eval ${versions.lm_eval}, torch ${versions.torch}, transformers ${versions.transformers}.
Medians of the rounds, slowest to fastest in brackets. Timed on hf's side: the call that answers all requests, tokenizing
included; on ours: the whole evaluation. Each log-likelihood is compared. Interference only slows, so the ratio of
the fastest rounds stands beside that of the medians.

| task | who | requests/s | relufy / it | of the fastest | furthest log-likelihood |
| ---- | --- | ---------- | ----------- | -------------- | ----------------------- |`);
// first calls touch memory and compile: both sides answer before the clock runs
for (const task of tasks) await ours(task, limit);
for (const task of tasks) {
  for (const batch of batches) await rival.ask({ task, batch, limit: 1 });
  const rates = new Map([['relufy', []], ...batches.map((batch) => [batch, []])]);
  const furthest = new Map();
  for (let round = 0; round < rounds; round++) {
    const mine = await ours(task, limit);
    rates.get('relufy').push(mine.requests / mine.seconds);
    for (const batch of round % 2 === 0 ? batches : batches.toReversed()) {
      const other = await rival.ask({ task, batch, limit });
      if (other.requests !== mine.requests)
        throw new Error(`${task}: ${other.requests} requests, ours ${mine.requests}`);
      for (const metric of ['acc', 'acc_norm'])
        if (other[metric] !== mine[metric])
          throw new Error(`${task} ${metric}: ${other[metric]}, ours ${mine[metric]}`);
      const far = Math.max(...other.likelihoods.flat().map((value, at) => Math.abs(value - mine.likelihoods[at])));
      if (!(far < 2e-3)) throw new Error(`${task}: a log-likelihood differs by ${far}`);
      furthest.set(batch, Math.max(far, furthest.get(batch) ?? 0));
      rates.get(batch).push(other.requests / other.seconds);
    }
  }
  const own = median(rates.get('relufy'));
  for (const [who, all] of rates)
    say(
      `| ${task} | ${who === 'relufy' ? who : `hf, batch ${who}`} | ${median(all).toFixed(1)} (${Math.min(...all).toFixed(1)} to ${Math.max(...all).toFixed(1)}) | ${who === 'relufy' ? '' : (own / median(all)).toFixed(2)} | ${who === 'relufy' ? '' : (Math.max(...rates.get('relufy')) / Math.max(...all)).toFixed(2)} | ${furthest.has(who) ? furthest.get(who).toExponential(1) : ''} |`,
    );
}
loads.push(os.loadavg()[0]);
say(`\nLoad of the machine before and after: ${loads.map((load) => load.toFixed(1)).join(', ')}.`);
if (values.out) writeFileSync(values.out, `${lines.join('\n')}\n`);
rival.end();
await model.dispose();

async function ours(task, limit) {
  const start = performance.now();
  const { results, samples } = await evaluate(evalModel(model), await registry.select([task]), {
    dataFolder: `${values.shared}/eval`,
    limit,
    split: 'validation',
    bootstrapIterations: 0,
  });
  const metrics = Object.fromEntries(results.tasks[0].metrics.map(({ name, value }) => [name, value]));
  const likelihoods = samples.get(task).flatMap(({ responses }) => responses.map(({ logprob }) => logprob));
  return { seconds: (performance.now() - start) / 1000, requests: likelihoods.length, likelihoods, ...metrics };
}

function startRival() {
  const data = Object.fromEntries(tasks.map((task) => [task, `${values.shared}/eval/${files[task]}.jsonl.gz`]));
  const asked = { threads, model: folder, gguf: 'SmolLM2-135M-Instruct.Q4_1.gguf', data };
  const child = spawn(values.python, [fileURLToPath(new URL('hf.py', import.meta.url)), JSON.stringify(asked)], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { ...process.env, HF_HUB_OFFLINE: '1', HF_DATASETS_OFFLINE: '1', OMP_NUM_THREADS: String(threads) },
  });
  const output = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await output.next();
    if (done) throw new Error('hf.py ended; run it alone to see why');
    return JSON.parse(value);
  };
  return {
    answer,
    ask: (question) => {
      child.stdin.write(`${JSON.stringify(question)}\n`);
      return answer();
    },
    end: () => child.stdin.end(),
  };
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}
