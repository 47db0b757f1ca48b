// One command: writes the models that are missing, checks answers, times all engines, and writes the report as Markdown,
// JSON and SVG under docs/benchmarks. Owns the options and the order; see README.md.
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { compareGreedy } from './answers.mjs';
import { describeMachine, fileNameOf } from './machine.mjs';
import { canConvert, convert, exportGguf, makeModel } from './make-model.mjs';
import { makeInputPlan, makePredictorPlan } from './make-plan.mjs';
import {
  afmGroup,
  besideBefore,
  busyGroups,
  planGroups,
  predictorDensities,
  predictorGroups,
  smolGroup,
  sweepGroup,
  syntheticGroups,
} from './plan.mjs';
import { toSvg } from './plot.mjs';
import { importKernels, root } from './relufy-packages.mjs';
import { readBars, toMarkdown, verdict } from './report.mjs';
import { shapes } from './shapes.mjs';
import { shiftFor } from './synthetic-weights.mjs';
import { runGroup } from './turns.mjs';

const usage = `node run.mjs [options]
  --threads N          threads of every engine (default: the physical cores)
  --rounds N           timed rounds (default 7), --warmups N (default 2)
  --prefill N          tokens of the long prompt (default 512), --decode N tokens decoded (default 32)
  --starts N           how often each engine is started, for the median of its loading (default 4)
  --density P          share of neurons active (default 0.1)
  --only a,b           of int8, int4, bf16, plans-int8, plans-int4, predictor-int8, predictor-int4, sweep, afm, smollm2, busy
  --backends a,b       of native, wasm (default: both)
  --smollm2 PATH       folder of SmolLM2-135M (default: ../shared/models/smollm2-135m-instruct, if there)
  --before PATH        another checkout, built: only our own rows, each beside that checkout's
  --powerinfer PATH    PowerInfer's main; --powerinfer-model PATH its file (default: one is written)
  --models PATH        where models are kept (default: models); --out PATH for reports (default: docs/benchmarks)
  --quick              tiny models, few rounds: for debugging, its numbers mean nothing`;

const { values } = parseArgs({
  options: {
    threads: { type: 'string' },
    rounds: { type: 'string' },
    warmups: { type: 'string' },
    prefill: { type: 'string' },
    decode: { type: 'string' },
    starts: { type: 'string' },
    density: { type: 'string', default: '0.1' },
    only: {
      type: 'string',
      default: 'int8,int4,bf16,plans-int8,plans-int4,predictor-int8,predictor-int4,sweep,afm,smollm2,busy',
    },
    backends: { type: 'string', default: 'native,wasm' },
    smollm2: { type: 'string' },
    powerinfer: { type: 'string' },
    'powerinfer-model': { type: 'string' },
    before: { type: 'string' },
    models: { type: 'string', default: join(import.meta.dirname, 'models') },
    out: { type: 'string' },
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) console.log(usage);
else await main();

async function main() {
  const { quick, models } = values;
  const machine = describeMachine();
  const number = (name, usual) => {
    const value = Number(values[name] ?? usual);
    if (!(Number.isInteger(value) && value >= 1))
      throw new Error(`--${name}: expected a whole number >= 1, got ${values[name]}.`);
    return value;
  };
  const sizes = {
    rounds: number('rounds', quick ? 3 : 7),
    warmups: number('warmups', quick ? 1 : 2),
    prefill: number('prefill', quick ? 64 : 512),
    decode: number('decode', quick ? 8 : 32),
    starts: number('starts', quick ? 2 : 4),
  };
  const engine = {
    threads: number('threads', await physicalCores()),
    contextLength: Math.max(1024, sizes.prefill + 64),
  };
  const wanted = new Set(values.only.split(','));
  const { groups: planned, comparisons } = await prepare(wanted, engine, Number(values.density), models, quick);
  if (planned.length === 0) throw new Error('--only: nothing is left to run.');

  const before = values.before && join(resolve(values.before), 'tools/rivals');
  const pairs = before ? planned.map((group) => besideBefore(group, before)) : planned.map((group) => ({ group }));
  const asked = before ? pairs.flatMap(({ bars }) => bars) : undefined;
  const answers = [];
  for (const compare of before ? [] : comparisons) {
    const answer = await compare();
    answers.push(answer);
    process.stderr.write(`${answer.what}: ${answer.same ? 'the same' : 'NOT THE SAME'}; ${answer.found}\n`);
  }
  const chosen = values.backends.split(',');
  const groups = [];
  const out = values.out ?? (quick ? models : join(root, 'docs/benchmarks'));
  const report = { machine, quick, sizes: { ...sizes, ...engine }, answers, bars: [], groups };
  for (const { group } of pairs) {
    const contenders = group.contenders.filter(({ spec }) => !spec.backend || chosen.includes(spec.backend));
    groups.push(await runGroup({ ...group, contenders }, sizes));
    report.bars = readBars(groups, asked);
    await write(out, report); // whatever happens to the groups that come
  }
  for (const bar of report.bars.filter(({ value }) => value !== undefined))
    console.log(`${bar.what}: ${bar.value.toFixed(2)} (${verdict(bar)})`);
  if (answers.some(({ same }) => !same)) process.exitCode = 1;
}

/** Models first, so that a full disk says so before an hour of timing. */
async function prepare(wanted, engine, density, out, quick) {
  const groups = [];
  const comparisons = [];
  const shape = quick ? 'tiny' : 'tinyllama';
  const dtypes = ['int8', 'int4', 'bf16'].filter((id) => wanted.has(id));
  if (dtypes.length > 0) {
    const types = { int8: 'q8_0', int4: 'q4_0', bf16: 'f16' };
    const formats = [...new Set([...dtypes.flatMap((dtype) => [dtype, types[dtype]]), 'f16'])];
    const files = await makeModel({ out, shape, density, formats });
    const { vocab } = shapes[shape];
    const label = quick ? 'Tiny model' : `TinyLlama's shape, ${density * 100} % active`;
    const powerinfer = values.powerinfer && (await preparePowerInfer(files, shape, density));
    groups.push(...syntheticGroups(files, engine, { vocab, label, powerinfer }).filter(({ id }) => wanted.has(id)));
    comparisons.push(compareSynthetic('synthetic model under SiLU', 'wasm', files, engine));
  }
  const planned = ['int8', 'int4'].filter((dtype) => wanted.has(`plans-${dtype}`));
  if (planned.length > 0) {
    const types = { int8: 'q8_0', int4: 'q4_0' };
    const formats = planned.flatMap((dtype) => [dtype, types[dtype]]);
    const files = await makeModel({ out, shape, density, formats });
    const { vocab } = shapes[shape];
    const source = files.converted(files.dense, planned[0]) ?? files.dense;
    const inputs = await makeInputPlan(`${files.dense}-inputs`, source, shapes[shape], 0.5);
    // laid out for the plan, so that loading is no part of it
    if (canConvert())
      for (const dtype of planned) await convert(files.dense, `${inputs}-${dtype}`, dtype, ['--plan', inputs]);
    const label = quick ? 'Tiny model' : `TinyLlama's shape, ${density * 100} % active`;
    const inputsOf = (dtype) =>
      existsSync(join(`${inputs}-${dtype}`, 'config.json')) ? `${inputs}-${dtype}` : files.dense;
    const all = planGroups(files, { inputs, inputsOf }, engine, { vocab, label });
    groups.push(...all.filter(({ id }) => wanted.has(id)));
  }
  const predicted = ['int8', 'int4'].filter((dtype) => wanted.has(`predictor-${dtype}`));
  if (predicted.length > 0) {
    const types = { int8: 'q8_0', int4: 'q4_0' };
    const [own, ...others] = predictorDensities;
    const formats = predicted.flatMap((dtype) => [dtype, types[dtype]]);
    const files = await makeModel({ out, shape, density: own, formats });
    const points = [];
    for (const at of [own, ...others]) {
      const shift = at === own ? undefined : shiftFor(shapes[shape], own, at);
      const folder = `${files.sparse}-predictor-${at * 100}pc`;
      points.push({ density: at, shift, plan: await makePredictorPlan(folder, shapes[shape], own, shift) });
    }
    const label = quick ? 'Tiny model' : "TinyLlama's shape";
    const all = predictorGroups(files, points, engine, { vocab: shapes[shape].vocab, label });
    groups.push(...all.filter(({ id }) => wanted.has(id)));
  }
  if (wanted.has('sweep')) {
    const name = quick ? 'tiny' : 'sweep';
    const full = 0.9999;
    const files = await makeModel({ out, shape: name, density: full, formats: ['int8'] });
    const shiftTo = (to) => (to === 1 ? undefined : shiftFor(shapes[name], full, to));
    groups.push(sweepGroup(files, engine, { vocab: shapes[name].vocab, shiftTo }));
  }
  if (wanted.has('afm')) {
    const name = quick ? 'tiny-afm' : 'afm';
    const files = await makeModel({ out, shape: name, density, formats: ['int8', 'q8_0', 'f16'] });
    const label = `${quick ? 'Tiny model of ' : ''}AFM-4.5B's shape, ${density * 100} % active`;
    groups.push(afmGroup(files, engine, { vocab: shapes[name].vocab, label }));
    comparisons.push(compareSynthetic("AFM-4.5B's shape", 'native', files, engine));
  }
  if (wanted.has('smollm2') || wanted.has('busy')) {
    const folder = values.smollm2 ?? join(root, '../shared/models/smollm2-135m-instruct');
    if (existsSync(folder)) {
      const files = await prepareSmol(folder, join(out, 'smollm2'));
      if (wanted.has('smollm2')) groups.push(smolGroup(files, engine));
      if (wanted.has('busy')) groups.push(...busyGroups(files, engine));
      for (const backend of ['wasm', 'native']) {
        const ours = { adapter: 'relufy', model: folder, backend, dtype: 'f32', ...engine };
        const theirs = { adapter: 'llama.cpp', model: files.gguf('f32'), ...engine };
        comparisons.push(() => compareGreedy(`SmolLM2-135M, our ${backend} f32 and llama.cpp f32`, ours, theirs));
      }
    } else process.stderr.write('SmolLM2: no folder; name one with --smollm2.\n');
  }
  return { groups, comparisons };
}

/** Random weights: one prompt of ids. */
function compareSynthetic(label, backend, files, engine) {
  const ours = { adapter: 'relufy', model: files.dense, backend, dtype: 'bf16', ...engine };
  const theirs = { adapter: 'llama.cpp', model: files.gguf('f16'), ...engine };
  const prompt = Array.from({ length: 16 }, (_, i) => 300 + 7 * i);
  return () => compareGreedy(`${label}, our ${backend} bf16 and llama.cpp f16`, ours, theirs, [prompt]);
}

async function prepareSmol(folder, out) {
  await mkdir(out, { recursive: true });
  const gguf = (type) => join(out, `${type}.gguf`);
  for (const type of ['f32', 'q8_0', 'q4_0']) await exportGguf(folder, gguf(type), type);
  const ours = (dtype) => join(out, dtype);
  if (canConvert()) for (const dtype of ['int8', 'int4']) await convert(folder, ours(dtype), dtype);
  return {
    folder,
    gguf,
    converted: (dtype) => (existsSync(join(ours(dtype), 'config.json')) ? ours(dtype) : undefined),
  };
}

async function preparePowerInfer(files, shape, density) {
  const { writePowerInferModel } = await import('./powerinfer-model.mjs');
  const model = values['powerinfer-model'] ?? join(files.sparse, '../f16.powerinfer.gguf');
  if (!existsSync(model)) await writePowerInferModel(model, files.gguf('f16'), shapes[shape], density);
  return { binary: values.powerinfer, model };
}

async function physicalCores() {
  const { createWasmBackend } = await importKernels();
  const backend = await createWasmBackend();
  const { threads } = backend;
  await backend.dispose();
  return threads;
}

async function write(folder, report) {
  const name = fileNameOf(report.machine);
  await mkdir(folder, { recursive: true });
  const { date, commit, cpu, cores } = report.machine;
  const caption = `${date}, ${commit}, ${cpu}, ${cores} cores, ${report.sizes.threads} threads; line: range of rounds`;
  const json = JSON.stringify(
    report,
    (key, value) => (key === 'spec' || key === 'tokenMs' ? undefined : value),
    2,
  ).replaceAll(root, '');
  await writeFile(join(folder, `${name}.json`), `${json}\n`);
  await writeFile(join(folder, `${name}.svg`), toSvg(report.groups, caption));
  await writeFile(join(folder, `${name}.md`), toMarkdown(report, `${name}.svg`));
  process.stderr.write(`\nwritten: ${join(folder, name)}.{md,json,svg}\n`);
}
