// Reuse of neurons (ReLU Strikes Back, 5.1 and figure 7) on three families and SiLU models as controls: runs
// `relufy measure --reuse` for each, then writes docs/experiments/reuse.md and its chart. What is measured is kept in
// build/experiments/reuse; `--report` only writes the page.
// Does not own what reuse is (packages/sparsity/src/reuse.ts) nor charts (measurement-charts.ts).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { convertLlama2c } from './llama2c.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const shared = process.env.RELUFY_SHARED ?? join(root, '../shared');
const folder = join(root, 'build/experiments/reuse');
const docs = join(root, 'docs/experiments');
const gammas = [1, 2, 4, 8, 16, 32];
/** Tokens of a text: 128 of prompt, then windows of gamma. */
const usualWindow = 384;

const runs = [
  { name: 'opt-tales', source: join(shared, 'models/opt-tales'), text: 'tales', texts: 8, gammas },
  { name: 'llama-tales', source: 'llama-tales', text: 'tales', texts: 8, gammas },
  { name: 'falcon-tales', source: join(shared, 'models/falcon-tales'), text: 'tales', texts: 8, gammas },
  // its context holds 128 tokens, and the texts are its own
  {
    name: 'llama2c-dreams-260k',
    source: join(folder, 'llama2c-model'),
    text: 'dreams',
    texts: 24,
    gammas,
    window: 128,
  },
  // the search for its thresholds takes minutes a text
  {
    name: 'smollm2-135m-instruct',
    source: 'smollm2-135m-instruct',
    text: 'wikitext',
    texts: 2,
    gammas: [4, 16],
    window: 256,
  },
];

/** Held-out texts, long enough for every model. */
function writeTexts() {
  const tales = readFileSync(join(shared, 'data/tales/valid.jsonl'), 'utf8').trim().split('\n');
  const answers = tales.map((line) => JSON.parse(line).answer).join('\n\n');
  writeFileSync(join(folder, 'tales.txt'), answers.slice(0, 60_000));
  const wiki = gunzipSync(readFileSync(join(shared, 'eval/wikitext2/wiki.test.raw.gz'))).toString();
  writeFileSync(join(folder, 'wikitext.txt'), wiki.slice(0, 60_000));
}

/** A small SiLU model of llama2.c, and texts that it wrote. */
async function writeDreams() {
  const files = join(shared, 'models/llama2c-dreams-260k');
  const model = join(folder, 'llama2c-model');
  await convertLlama2c(join(files, 'aidreams260K.bin'), join(files, 'tok512.bin'), model);
  const { loadModel } = await import('../../packages/models/dist/node.js');
  const loaded = await loadModel(model, { threads: 1 });
  const texts = [];
  for (let seed = 1; seed <= 40; seed++)
    texts.push((await loaded.generate('The', { maxNewTokens: 125, temperature: 1, seed }).result).text);
  await loaded.dispose();
  writeFileSync(join(folder, 'dreams.txt'), texts.join('\n'));
}

async function measureAll() {
  mkdirSync(folder, { recursive: true });
  writeTexts();
  if (!existsSync(join(folder, 'dreams.txt'))) await writeDreams();
  for (const { name, source, text, texts, gammas: asked, window = usualWindow } of runs) {
    if (existsSync(join(folder, name, 'measurement.json'))) continue;
    const tokens = texts * window;
    const sizes = { tokens, window, 'calibration-tokens': tokens, 'decode-tokens': 32, reuse: asked };
    const options = Object.entries({ data: join(folder, `${text}.txt`), out: join(folder, name), name, ...sizes });
    const args = [source, ...options.flatMap(([option, value]) => [`--${option}`, String(value)])];
    const { status } = spawnSync(process.execPath, [join(root, 'packages/relufy/dist/cli.js'), 'measure', ...args], {
      stdio: 'inherit',
    });
    if (status !== 0) process.exit(status ?? 1);
  }
}

const [begin, end] = ['<!-- results: written by node tools/experiments/reuse.mjs -->', '<!-- end of results -->'];

async function writePage() {
  const { measurementFiles } = await import('../../packages/sparsity/dist/index.js');
  const done = runs.flatMap(({ name }) => {
    const file = join(folder, name, 'measurement.json');
    return existsSync(file) ? [JSON.parse(readFileSync(file, 'utf8'))] : [];
  });
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const header = ['gamma', 'perplexity', 'random sets', 'neurons kept', 'read anew a token'];
  const tables = done.map(({ model, layers, reuse, criterion }) => {
    const density = layers.reduce((sum, { use }) => sum + use.density, 0) / layers.length;
    const rows = reuse.points.map(({ gamma, perplexity, randomPerplexity, kept }) => [
      gamma,
      perplexity.toFixed(3),
      randomPerplexity.toFixed(3),
      percent(kept),
      percent(kept / (2 * gamma)),
    ]);
    const active = criterion.kind === 'cett' ? `above the threshold of a CETT of ${criterion.value}` : 'not zero';
    return [
      `**${model}**: perplexity ${reuse.densePerplexity.toFixed(3)} without reuse over ${reuse.tokens} tokens; ${percent(density)} of the neurons active for a token (${active}).`,
      [header, header.map(() => '---:'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n'),
    ].join('\n\n');
  });
  const page = join(docs, 'reuse.md');
  const before = existsSync(page) ? readFileSync(page, 'utf8') : `# Reuse of neurons\n\n${begin}\n${end}\n`;
  const results = [begin, ...tables, '![Loss above the model as it is, by gamma](reuse.svg)', end].join('\n\n');
  const at = [before.indexOf(begin), before.indexOf(end)];
  if (at.includes(-1)) throw new Error(`${page}: expected the two marks of results`);
  writeFileSync(page, before.slice(0, at[0]) + results + before.slice(at[1] + end.length));
  mkdirSync(dirname(page), { recursive: true });
  const [, chart] = [...measurementFiles(done)].find(([file]) => /(^|\/)reuse\.svg$/.test(file));
  writeFileSync(join(docs, 'reuse.svg'), `${chart}\n`);
}

if (!process.argv.includes('--report')) await measureAll();
await writePage();
