// `relufy bench`: what this machine does. Every answer is checked before it is timed, what is compared is interleaved, and
// the streaming bandwidth that speeds are held against is measured in the same run.
// Longer than 400 lines because each bench has its table here, in the words of its columns.

import { wholeFrom } from '@relufy/chat';
import { createBackend, type Model, type WeightDType } from '@relufy/models';
import { type Backend, type DType, type HostBackend, measureStreaming, weightDTypes } from '@relufy/tensor';
import type { Command } from 'commander';
import { benchPromptBeside, benchRows, benchStreams, type StreamsResult } from '../bench/batch.js';
import { benchBusy, type Contender } from '../bench/busy.js';
import { benchDecode, tinyLlamaShape } from '../bench/decode.js';
import { benchFfn } from '../bench/ffn.js';
import { benchKernels } from '../bench/kernels.js';
import { parsePlans, planShapes, plansTable } from '../bench/plans.js';
import { describeMachine, percent, type Table, toMarkdown } from '../bench/report.js';
import { benchServe } from '../bench/serve.js';
import { type ServerProcess, startServer } from '../bench/serve-process.js';
import { benchSparseDecode, type DensityPoint, parseDensities } from '../bench/sparse-decode.js';
import { forcedTable, speculatedTable } from '../bench/speculate.js';
import { formulaTable } from '../bench/speculation-formulas.js';
import { benchSteady } from '../bench/steady.js';
import { usageError } from '../failure.js';
import { loadModel } from '../node/load-model.js';
import { packagedModel } from '../node/packaged-model.js';
import { choice, numeric } from '../options.js';
import { print, printJson } from '../output.js';

const examples = `
Benches:
  bandwidth  sequential reads by all threads: the peak read bandwidth
  kernels    products alone, dense and sparse: GB/s and GFLOP/s
  decode     dense decoding and prefill of a synthetic Llama shape (1 GB of weights); with --densities also the whole
             1.1B shape, exact sparse against dense, at these shares of neurons and, after slashes, of the inputs of qkv
             and of gate and up (stage 2)
  plans      decoding and prefill of the whole 1.1B shape under sparsity plans, against dense SiLU: --plans names kinds
             (inputs, shared, top, groups, neurons, relu, predictor, signs, partial, two-bit), each with the share that is kept; int8 and int4,
             unless --dtype names another; --shape rwkv: of RWKV-4-169M (own: the
             zeros that it has by itself)
  ffn        exact sparse FFNs against dense ones at 1 to 100 % density, gated and plain (0.5 GB of weights)
  steady     1,000 tokens of the bundled model: memory retained, event loop delay
  busy       the bundled model beside 0, 1 and 4 busy loops, one thread and two, WASM and native interleaved
  serve      a server with smollm2-135m-instruct, or --model, which it starts and ends, or the one at --url: 1, 2, 4, 8 and 16
             streams at once, tokens a second of all, time to the first token, median and p99 between two
  batch      1 to 16 streams on one model at the same time: SmolLM2 through generate, TinyLlama's shape (0.5 GB) by steps;
             and how long a token takes while a prompt of 2,000 tokens comes in
  speculate  answers of SmolLM2 (or --model) with and without drafts, from the text and by a plan; and a draft model beside
             TinyLlama's shape (1.1 GB in int8) at stated acceptances
  formulas   what the formulas of sparse speculative decoding say of the bundled model, beside what was timed

Examples:
  $ relufy bench
  $ relufy bench ffn --dtype bf16 --threads 2 --seconds 20
  $ relufy bench decode --json > decode.json
  $ relufy bench decode --dtype bf16 --densities 0.35,0.3/0.5/0.5
  $ relufy bench decode --dtype bf16 --ffn plain --densities 0.05
  $ relufy bench plans --dtype int8 --plans inputs:0.5,inputs:1,predictor:0.1
  $ relufy bench plans --shape rwkv --dtype int8 --plans own:1,inputs:0.5
  $ relufy bench serve --dtype int4 --threads 2
  $ relufy bench serve --url http://127.0.0.1:8080 --json
  $ relufy bench speculate --dtype int8 --seconds 5`;

const benches = [
  'bandwidth',
  'kernels',
  'decode',
  'plans',
  'ffn',
  'steady',
  'busy',
  'batch',
  'serve',
  'speculate',
  'formulas',
] as const;
/** Of a model of 98 MB that not every installation has, or with gigabytes of weights: asked for by name. */
const onlyByName: readonly string[] = ['batch', 'serve', 'plans', 'speculate', 'formulas'];
type Bench = (typeof benches)[number];
const streamCounts = [1, 2, 4, 8, 16] as const;

interface BenchValues {
  readonly threads?: number;
  readonly backend: 'auto' | 'native' | 'wasm';
  readonly dtype?: WeightDType;
  readonly seconds: number;
  readonly densities?: string;
  readonly plans: string;
  readonly layers?: number;
  readonly shape: (typeof planShapes)[number];
  readonly ffn: 'gated' | 'plain';
  readonly model: string;
  readonly url?: string;
  readonly apiKey?: string;
  readonly json?: true;
}

export function define(command: Command): void {
  command
    .argument('[benches...]', `some of ${benches.join(', ')} (default: all but ${onlyByName.join(', ')})`)
    .addOption(numeric('--threads <n>', 'threads that share a step (default: the physical cores)', wholeFrom(1)))
    .addOption(choice('--backend <backend>', 'what computes', ['auto', 'native', 'wasm']).default('auto'))
    .addOption(choice('--dtype <dtype>', 'format of the weights (default: each in turn)', weightDTypes))
    .addOption(numeric('--seconds <n>', 'time for each comparison', wholeFrom(1)).default(10))
    .option('--densities <list>', 'with decode: DOWN or DOWN/QKV/UP, several with commas between')
    .option(
      '--plans <list>',
      'with plans: KIND:SHARE, several with commas between',
      'inputs:0.5,inputs:1,predictor:0.1',
    )
    .addOption(choice('--shape <shape>', 'with plans: the shape of the model', planShapes).default('tinyllama'))
    .addOption(numeric('--layers <n>', "with plans: layers of the model (default: the shape's)", wholeFrom(1)))
    .addOption(choice('--ffn <kind>', 'with --densities: the kind of FFN', ['gated', 'plain']).default('gated'))
    .option('-m, --model <model>', 'with serve and speculate: the model', packagedModel)
    .option('--url <url>', 'with serve: a server that runs already, of any software that speaks as OpenAI does')
    .option('--api-key <key>', 'with --url: its key')
    .option('--json', 'print JSON')
    .addHelpText('after', examples)
    .action(bench);
}

async function bench(named: readonly string[], values: BenchValues): Promise<void> {
  for (const name of named)
    if (!benches.includes(name as Bench))
      throw usageError(`bench: expected some of ${benches.join(', ')}, got "${name}".`);
  const wanted = new Set<string>(named.length > 0 ? named : benches.filter((name) => !onlyByName.includes(name)));
  const points = values.densities === undefined ? undefined : parseDensities(values.densities);
  const plans = parsePlans(values.plans);
  const machine = describeMachine();
  const threads = values.threads === undefined ? {} : { threads: values.threads };
  const { backend, description } = await createBackend({ backend: values.backend, ...threads });
  const formats = weightDTypes.filter(
    (dtype) => backend.weightDTypes.includes(dtype) && (values.dtype ?? dtype) === dtype,
  );
  try {
    const tables: Table[] = [];
    const bandwidth = await measureStreaming(backend, 1e9, { of: 'median' });
    tables.push({
      title: 'Peak read bandwidth',
      note: '1 GB, each byte read once, median of 7 passes.',
      columns: ['threads', 'GB/s'],
      rows: [[backend.threads, bandwidth.toFixed(1)]],
    });
    if (wanted.has('kernels')) tables.push(await kernelTable(backend, formats, bandwidth, values.seconds));
    if (wanted.has('decode') && !points) tables.push(await decodeTable(backend, formats, bandwidth, values.seconds));
    if (wanted.has('decode') && points)
      for (const dtype of formats)
        tables.push(await sparseDecodeTable(backend, dtype, values.ffn, points, values.seconds));
    if (wanted.has('plans'))
      for (const dtype of values.dtype === undefined ? (['int8', 'int4'] as const) : formats)
        tables.push(await plansTable(backend, dtype, plans, values));
    if (wanted.has('ffn'))
      for (const kind of ['gated', 'plain'] as const)
        for (const dtype of formats) tables.push(await ffnTable(backend, kind, dtype, values.seconds));
    if (wanted.has('steady')) tables.push(await steadyTable(values));
    if (wanted.has('busy')) tables.push(await busyTable(values, backend.name));
    if (wanted.has('serve')) tables.push(await serveTable(values));
    if (wanted.has('batch')) tables.push(...(await batchTables(backend, formats, values)));
    if (wanted.has('speculate')) tables.push(...(await speculateTables(backend, values)));
    if (wanted.has('formulas')) tables.push(await formulasTable(values));
    if (values.json) printJson({ machine, backend: description, tables });
    else print(toMarkdown(machine, description, tables));
  } finally {
    await backend.dispose();
  }
}

async function kernelTable(
  backend: Backend,
  formats: readonly DType[],
  bandwidth: number,
  seconds: number,
): Promise<Table> {
  const results = [];
  for (const dtype of formats) results.push(...(await benchKernels(backend, dtype, seconds)));
  return {
    title: 'Kernels',
    note: '2048 x 5632, cold weights, the bytes and operations of active rows only; the first row checked against the reference executor.',
    columns: ['kernel', 'us', 'GB/s', '% of peak', 'GFLOP/s', 'spread'],
    rows: results.map(({ name, microseconds, gigabytesPerSecond, gflops, spread }) => [
      name,
      microseconds.toFixed(0),
      gigabytesPerSecond.toFixed(1),
      percent(gigabytesPerSecond / bandwidth),
      gflops.toFixed(1),
      percent(spread),
    ]),
  };
}

async function decodeTable(
  backend: Backend,
  formats: readonly DType[],
  bandwidth: number,
  seconds: number,
): Promise<Table> {
  const rows = [];
  for (const dtype of formats) {
    const result = await benchDecode(backend, dtype, 1e9, seconds);
    rows.push([
      dtype,
      `${(result.weightBytes / 1e9).toFixed(2)} GB`,
      result.tokensPerSecond.toFixed(1),
      result.gigabytesPerSecond.toFixed(1),
      percent(result.gigabytesPerSecond / bandwidth),
      percent(result.spread),
      result.prefillTokensPerSecond.toFixed(0),
      result.prefillGflops.toFixed(1),
    ]);
  }
  return {
    title: 'Dense decode and prefill',
    note: 'Llama shape, hidden 2048, ffn 5632, 32/4 heads; decode at position 128, prefill of 128 tokens; equal bits checked first.',
    columns: ['weights', 'size', 'tokens/s', 'GB/s', '% of peak', 'spread', 'prefill tokens/s', 'GFLOP/s'],
    rows,
  };
}

async function sparseDecodeTable(
  backend: HostBackend,
  dtype: DType,
  kind: 'gated' | 'plain',
  points: readonly DensityPoint[],
  seconds: number,
): Promise<Table> {
  const results = await benchSparseDecode(backend, tinyLlamaShape(kind), dtype, points, seconds);
  const shares = ({ down, qkv, upGate }: DensityPoint) => [down, qkv ?? 1, upGate ?? 1].map(percent);
  return {
    title: `Decode at densities, ${kind} FFN, ${dtype}`,
    note: 'Hidden 2048, FFN 5632 (plain: 8448), 22 layers, 32/4 heads, 32,000 tokens, random weights; one token at position 128, another every step; sparse equals dense bit for bit, checked first; dense and sparse interleaved.',
    columns: ['down', 'qkv', 'up', 'tokens/s', 'dense tokens/s', 'speed-up', 'MB/token', 'dense MB', 'spread'],
    rows: results.map(({ reached, tokensPerSecond, denseTokensPerSecond, bytes, denseBytes, spread }) => [
      ...shares(reached),
      tokensPerSecond.toFixed(1),
      denseTokensPerSecond.toFixed(1),
      (tokensPerSecond / denseTokensPerSecond).toFixed(2),
      (bytes / 1e6).toFixed(0),
      (denseBytes / 1e6).toFixed(0),
      percent(spread),
    ]),
  };
}

async function ffnTable(backend: Backend, kind: 'gated' | 'plain', dtype: DType, seconds: number): Promise<Table> {
  const shape = { kind, hiddenSize: 2048, intermediateSize: 5632, dtype, bytes: 512 << 20 };
  const results = await benchFfn(backend, shape, [0.01, 0.05, 0.1, 0.2, 0.5, 1], seconds);
  return {
    title: `FFN, ${kind}, ${dtype}`,
    note: 'Hidden 2048, ffn 5632, >= 512 MB of weights, a fresh active set for every token and layer; sparse equals dense bit for bit, checked first.',
    columns: ['density', 'dense ms', 'sparse ms', 'time', 'bytes', 'spread'],
    rows: results.map(({ density, denseMs, sparseMs, time, bytes, spread }) => [
      percent(density),
      denseMs.toFixed(2),
      sparseMs.toFixed(2),
      time.toFixed(2),
      bytes.toFixed(2),
      percent(spread),
    ]),
  };
}

async function steadyTable({ threads, backend }: BenchValues): Promise<Table> {
  await using model = await loadModel('llama-tales', {
    backend,
    reuse: true,
    ...(threads !== undefined && { threads }),
  });
  const result = await benchSteady(model, 1000);
  return {
    title: 'A long generation',
    note: 'The bundled model, sampling; memory after collection, event loop delay at 1 ms resolution.',
    columns: ['tokens', 'retained KB', 'p99 delay ms', 'max delay ms', 'tokens/s'],
    rows: [
      [
        result.tokens,
        (result.retainedBytes / 1e3).toFixed(0),
        result.delayP99Ms.toFixed(1),
        result.delayMaxMs.toFixed(1),
        result.tokensPerSecond.toFixed(0),
      ],
    ],
  };
}

/** Both backends where the best one is native, or the one that is asked for; one thread beside two, or what is asked for. */
async function busyTable({ threads = 2, backend, seconds }: BenchValues, best: string): Promise<Table> {
  const contenders: (Contender & { readonly model: Model })[] = [];
  try {
    const wanted =
      backend === 'auto'
        ? (['wasm', 'native'] as const).filter((name) => name !== 'native' || best === name)
        : [backend];
    for (const name of wanted)
      for (const count of new Set([1, threads]))
        contenders.push({
          backend: name,
          threads: count,
          model: await loadModel('llama-tales', { backend: name, threads: count }),
        });
    const results = await benchBusy(contenders, [0, 1, 4], seconds);
    return {
      title: 'Beside busy loops',
      note: 'The bundled model, 40 tokens a run, all interleaved; equal answers checked first. p99 / median: of a token. Over one: tokens/s over those of one thread.',
      columns: ['loops', 'backend', 'threads', 'tokens/s', 'median ms', 'p99 ms', 'p99 / median', 'over one'],
      rows: results.map((result) => [
        result.loops,
        result.backend,
        result.threads,
        result.tokensPerSecond.toFixed(0),
        result.medianMs.toFixed(2),
        result.p99Ms.toFixed(2),
        (result.p99Ms / result.medianMs).toFixed(1),
        result.overOne?.toFixed(2) ?? '',
      ]),
    };
  } finally {
    for (const { model } of contenders) await model.dispose();
  }
}

async function serveTable(values: BenchValues): Promise<Table> {
  const { url, apiKey, dtype, seconds } = values;
  const server = url === undefined ? await startServer(thisProgram(), serveArguments(values)) : undefined;
  try {
    const results = await benchServe(
      { url: url ?? (server as ServerProcess).url, ...(apiKey && { apiKey }) },
      streamCounts,
      {
        seconds,
      },
    );
    const alone = results[0]?.tokensPerSecond ?? 0;
    return {
      title: `Serving ${url ?? values.model}${url !== undefined || dtype === undefined ? '' : `, ${dtype}`}`,
      note: 'Streams of 64 tokens over HTTP, greedy, other questions in every round; numbers of streams interleaved, clients in a process of their own. First: to the first token. Between: two tokens of a stream.',
      columns: ['streams', 'tokens/s', 'over one', 'spread', 'first ms', 'first p90', 'between ms', 'between p99'],
      rows: results.map((result) => [
        result.streams,
        result.tokensPerSecond.toFixed(1),
        (result.tokensPerSecond / alone).toFixed(2),
        percent(result.spread),
        result.firstTokenMs.toFixed(0),
        result.firstTokenP90Ms.toFixed(0),
        result.betweenMs.toFixed(1),
        result.betweenP99Ms.toFixed(1),
      ]),
    };
  } finally {
    await server?.close();
  }
}

const thisProgram = (): readonly [string, string] => [process.execPath, process.argv[1] as string];

const serveArguments = ({ threads, backend, dtype, model }: BenchValues): readonly string[] => [
  ...[model, '--slots', '16', '--context-length', '512', '--backend', backend],
  ...(threads === undefined ? [] : ['--threads', `${threads}`]),
  ...(dtype === undefined ? [] : ['--dtype', dtype]),
];

async function formulasTable({ threads, backend }: BenchValues): Promise<Table> {
  await using model = await loadModel('llama-tales', { backend, ...(threads !== undefined && { threads }) });
  return await formulaTable(model, { prompt: 'prompt', reuse: 'reuse' }, [1, 2, 4, 8], 5);
}

/** Drafts by a plan where the model is the one that a plan comes ready-made for. */
async function speculateTables(
  backend: HostBackend,
  { threads, backend: wanted, dtype, model: source, seconds }: BenchValues,
): Promise<Table[]> {
  const options = {
    ...{ backend: wanted, contextLength: 512 },
    ...(threads !== undefined && { threads }),
    ...(dtype !== undefined && { dtype }),
  };
  const tables: Table[] = [];
  {
    await using model = await loadModel(source, options);
    tables.push(await speculatedTable(model, { prompt: 'prompt' }, seconds));
  }
  if (source === packagedModel) {
    await using model = await loadModel(source, { ...options, draftPlan: 'smollm2-135m-instruct-teal-40' });
    tables.push(await speculatedTable(model, { 'plan teal-40': 'plan' }, seconds));
  }
  tables.push(await forcedTable(backend, dtype ?? 'int8', seconds));
  return tables;
}

async function batchTables(
  backend: Backend,
  formats: readonly WeightDType[],
  { threads, backend: wanted, dtype, seconds }: BenchValues,
): Promise<Table[]> {
  const columns = ['weights', 'streams', 'tokens/s', 'over one', 'spread'];
  const rowsOf = (weights: string, results: readonly StreamsResult[]) =>
    results.map(({ streams, tokensPerSecond, overOne, spread }) => [
      weights,
      streams,
      tokensPerSecond.toFixed(1),
      overOne.toFixed(2),
      percent(spread),
    ]);
  const [whole, beside, steps]: (string | number)[][][] = [[], [], []];
  for (const format of dtype === undefined ? (['auto', 'int4'] as const) : [dtype]) {
    await using model = await loadModel('smollm2-135m-instruct', {
      ...{ backend: wanted, dtype: format, slots: 16, contextLength: 2304 },
      ...(threads !== undefined && { threads }),
    });
    const weights = format === 'auto' ? 'as stored' : format;
    whole?.push(...rowsOf(weights, await benchStreams(model, streamCounts, seconds)));
    for (const streams of [1, 4]) {
      const found = await benchPromptBeside(model, streams, 2000);
      beside?.push([
        ...[weights, streams],
        ...[found.aloneMs, found.besideMs, found.besideP99Ms].map((ms) => ms.toFixed(1)),
        ...[found.besideP99Ms / found.aloneMs, found.besideP99Ms / found.besideMs].map((ratio) => ratio.toFixed(2)),
        found.firstTokenMs.toFixed(0),
      ]);
    }
  }
  for (const format of formats.filter((each) => each === 'int4' || each === 'uint4' || each === dtype))
    steps?.push(...rowsOf(format, await benchRows(backend, format, streamCounts, seconds)));
  return [
    {
      title: 'Streams on SmolLM2-135M',
      note: 'Greedy, 16 tokens of prompt each, all different, 32 tokens; the time in which all decode; equal answers alone and in company checked first.',
      columns,
      rows: whole ?? [],
    },
    {
      title: 'Between two tokens while a prompt of 2,000 comes in',
      note: 'Milliseconds: the median without the prompt, the median and the 99th percentile beside it.',
      columns: ['weights', 'streams', 'alone', 'beside', 'p99', 'p99 / alone', 'p99 / beside', 'first token'],
      rows: beside ?? [],
    },
    {
      title: "Rows of TinyLlama's shape",
      note: 'Hidden 2048, ffn 5632, 32/4 heads, 0.5 GB of random weights; a step of one row each of several sequences, at position 128.',
      columns,
      rows: steps ?? [],
    },
  ];
}
