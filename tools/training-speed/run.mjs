// Compares a training step of Relufy with PyTorch's; README.md says how. Owns the turns and the table.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { describeMachine } from '../rivals/machine.mjs';
import { median, ratios, spread } from '../rivals/statistics.mjs';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const model = path('../../../shared/models/llama-tales');
const { values } = parseArgs({
  options: {
    python: { type: 'string', default: 'python3' },
    model: { type: 'string', default: model },
    ids: { type: 'string', default: join(model, 'valid-ids.u16') },
    start: { type: 'string', default: 'fresh,trained' },
    batch: { type: 'string', default: '8' },
    context: { type: 'string', default: '512' },
    threads: { type: 'string', default: '2' },
    backend: { type: 'string', default: 'native' },
    rounds: { type: 'string', default: '7' },
    recompute: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  process.stdout.write(`node tools/training-speed/run.mjs [options]
  --python FILE      a Python with torch and transformers (python3)
  --model FOLDER     a Hugging Face folder (../shared/models/llama-tales)
  --ids FILE         token ids as 16-bit words (the model's valid-ids.u16)
  --start LIST       fresh: drawn weights, trained: those of the folder (fresh,trained)
  --batch N --context N --threads N --rounds N   (8, 512, 2, 7)
  --backend NAME     native, wasm or reference (native)
  --recompute        compute each layer's activations again, to save memory\n`);
  process.exit();
}

/** A process that takes a step for a line and answers with a line of JSON. */
class Side {
  #child;
  #lines;

  constructor(command, args, env = {}) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, ...env } });
    this.#child.on('error', (error) => {
      throw error;
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async next() {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('a side ended early');
    return JSON.parse(value);
  }

  step() {
    this.#child.stdin.write('\n');
    return this.next();
  }

  async end() {
    this.#child.stdin.end();
    await new Promise((resolve) => (this.#child.exitCode === null ? this.#child.once('exit', resolve) : resolve()));
  }
}

const [batch, context, rounds] = [values.batch, values.context, values.rounds].map(Number);
const tokens = batch * context;

async function compare(start, folder) {
  const shape = [values.ids, values.batch, values.context, values.threads];
  const theirs = new Side(
    values.python,
    [path('pytorch.py'), start === 'fresh' ? `fresh:${folder}` : folder, ...shape],
    {
      OMP_NUM_THREADS: values.threads,
    },
  );
  const their = await theirs.next(); // it has written the weights by now
  const recompute = values.recompute ? 'recompute' : 'keep';
  const ours = new Side(process.execPath, [path('relufy.mjs'), folder, ...shape, values.backend, recompute]);
  const our = await ours.next();
  process.stderr.write(`${start}: ${our.description}; ${their.description}\n`);
  const first = [await ours.step(), await theirs.step()];
  const difference = Math.abs(first[0].loss / first[1].loss - 1);
  if (!(difference < 1e-4)) throw new Error(`first losses differ: ${first[0].loss} and ${first[1].loss}`);
  await ours.step();
  await theirs.step();
  const taken = { ours: [], theirs: [] };
  for (let round = 0; round < rounds; round++) {
    const order = [
      ['ours', ours],
      ['theirs', theirs],
    ];
    for (const [name, side] of round % 2 === 0 ? order : order.reverse()) {
      await new Promise((resolve) => setTimeout(resolve, 250)); // threads of the other side go to sleep
      taken[name].push(await side.step());
    }
  }
  await ours.end();
  await theirs.end();
  // forward, and twice as much backward; causal attention meets half of the positions
  const flops = 6 * tokens * (our.weights + our.layers * our.hidden * context);
  const seconds = (side) => taken[side].map((one) => one.seconds);
  const row = (name, side) => {
    const time = median(seconds(side));
    return [
      start,
      name,
      (tokens / time).toFixed(0),
      `${(100 * spread(seconds(side))).toFixed(0)} %`,
      (flops / time / 1e9).toFixed(0),
      (Math.max(...taken[side].map((one) => one.peakBytes)) / 1e6).toFixed(0),
    ];
  };
  const density = median(taken.ours.map((one) => one.density));
  return {
    rows: [row(`Relufy, density ${(100 * density).toFixed(0)} %`, 'ours'), row('PyTorch', 'theirs')],
    ratio: median(ratios(seconds('theirs'), seconds('ours'))),
    session: our.sessionBytes,
    descriptions: [our.description, their.description],
  };
}

const folder = mkdtempSync(join(tmpdir(), 'relufy-training-speed-'));
try {
  const lines = [];
  let descriptions = [];
  for (const start of values.start.split(',')) {
    if (start === 'fresh') cpSync(join(values.model, 'config.json'), join(folder, 'config.json'));
    const result = await compare(start, start === 'fresh' ? folder : values.model);
    descriptions = result.descriptions;
    lines.push(...result.rows.map((row) => `| ${row.join(' | ')} |`));
    lines.push(
      `| ${start} | ratio | **${result.ratio.toFixed(2)}** | | | session ${(result.session / 1e6).toFixed(0)} |`,
    );
  }
  const { cpu, cores, node, date, load, commit } = describeMachine();
  process.stdout.write(
    [
      `${date}, ${cpu}, ${cores} cores, Node ${node}, commit ${commit}, load ${load}; ${descriptions.join('; ')}.`,
      `Batch ${batch} x ${context}, ${rounds} rounds${values.recompute ? ', activations computed again' : ''}.`,
      '',
      '| start | side | tokens/s | spread | GFLOP/s | peak MB |',
      '| --- | --- | --- | --- | --- | --- |',
      ...lines,
      '',
    ].join('\n'),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
