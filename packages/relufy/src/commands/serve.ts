// `relufy serve`: models behind OpenAI's, Ollama's and llama-server's routes, on one port, until Ctrl-C or SIGTERM.
// Does not own routes, queues or sockets (@relufy/server).
import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { wholeFrom } from '@relufy/chat';
import type { LoadOptions } from '@relufy/models';
import type { ServedModel } from '@relufy/server';
import { parseBytes } from '@relufy/tensor';
import type { Command } from 'commander';
import { Option } from 'commander';
import { usageError } from '../failure.js';
import {
  addBackendOptions,
  addMemoryOptions,
  addSpeculateOptions,
  choice,
  type LoadValues,
  loadOptionsOf,
  modelHelp,
  numeric,
  type SpeculateValues,
  speculationOf,
} from '../options.js';
import { tell } from '../output.js';
import { readTextFile } from '../read-text.js';
import { untilInterrupted } from '../signals.js';

const examples = `
Examples:
  $ relufy serve smollm2-135m-instruct
  $ relufy serve ./llama ./story --keep-alive 10m --memory 4GiB
  $ relufy serve HuggingFaceTB/SmolLM2-360M-Instruct --dtype int4 --slots 8 --api-key-file keys.txt
  $ relufy serve tales=./runs/tales-7 --host 0.0.0.0 --port 9000 --api-key "$KEY"

Any client of OpenAI, Ollama or llama-server: base URL http://127.0.0.1:8080/v1 (Ollama: without /v1).
One model is loaded at the start; of several, each when it is first asked for, and it leaves after --keep-alive.
With one model, every name in a request means it. NAME=MODEL gives a model another name.
The log goes to standard error, a line of JSON for each event, without prompts and keys.`;

interface ServeValues extends Omit<LoadValues, 'model'>, SpeculateValues {
  readonly host: string;
  readonly port: number;
  readonly apiKey?: readonly string[];
  readonly apiKeyFile?: string;
  readonly slots?: number;
  readonly queue: number;
  readonly keepAlive?: number;
  readonly memory?: number;
  readonly bodyLimit: number;
  readonly deadline: number;
  readonly drain: number;
  readonly cors?: readonly string[];
  readonly allowHost?: readonly string[];
  /** `false`: --no-web. */
  readonly web?: string | false;
  readonly batches?: string;
  readonly batchWorkers: number;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly logPrompts?: true;
  readonly recommended: boolean;
}

export function define(command: Command): void {
  command
    .usage('MODEL... [options]')
    .argument('<models...>', modelHelp)
    .option('--host <address>', 'where to listen; 0.0.0.0 is every address of this machine', '127.0.0.1')
    .addOption(numeric('-p, --port <n>', 'the port; 0: any that is free', portRule).default(8080))
    .option('--api-key <key...>', 'keys, one of which a client has to show (also RELUFY_API_KEY)')
    .option('--api-key-file <file>', 'a file of such keys, one a line')
    .addOption(
      numeric(
        '--slots <n>',
        'answers that a model writes at the same time; each takes a KV cache (default: 4, or what fits in 2 GiB)',
        wholeFrom(1),
      ),
    )
    .addOption(
      numeric('--queue <n>', 'requests for a model that wait; more are told to come back', wholeFrom(0)).default(64),
    )
    .addOption(
      parsed(
        '--keep-alive <time>',
        'how long a model stays unasked: 90s, 10m, -1 for ever (default: 5m of several)',
        duration,
      ),
    )
    .addOption(parsed('--memory <bytes>', 'what the loaded models may take together, as 4GiB', parseBytes))
    .addOption(parsed('--body-limit <bytes>', 'the largest request', parseBytes).default(8 << 20, '8MiB'))
    .addOption(parsed('--deadline <time>', 'the longest that a request computes', duration).default(3_600_000, '1h'))
    .addOption(parsed('--drain <time>', 'how long SIGTERM waits for running answers', duration).default(30_000, '30s'))
    .option('--cors <origin...>', 'pages from elsewhere that may ask, such as https://chat.example (default: none)')
    .option('--allow-host <name...>', 'names by which the server may be called (default: those of --host)')
    .option('--web <folder>', 'a page of your own to serve at / (default: the chat page)')
    .option('--no-web', 'serve no page')
    .option(
      '--batches <url>',
      'take and answer batches (/v1/batches) through a Redis server, such as redis://host:6379',
    )
    .addOption(
      numeric('--batch-workers <n>', 'requests of batches that are answered at a time', wholeFrom(0)).default(1),
    )
    .addOption(
      choice('--log-level <level>', 'what is logged', ['debug', 'info', 'warn', 'error', 'silent']).default('info'),
    )
    .option('--log-prompts', 'log prompts and answers too')
    .option('--no-recommended', "leave sampling at OpenAI's defaults, not at what the model's author recommends");
  addBackendOptions(command);
  addMemoryOptions(command);
  addSpeculateOptions(command);
  command.addHelpText('after', examples).action(serve);
}

/** Few machines gain from more at a time; a long context takes much for each. */
const usualSlots = { most: 4, kvBytes: 2 ** 31 };

const portRule = {
  fits: (value: number) => Number.isInteger(value) && value >= 0 && value < 65_536,
  expected: 'a port from 0 to 65535',
};

/** An option whose text is turned into a number, or refused as commander refuses one. */
function parsed(flags: string, help: string, parse: (text: string) => number | undefined): Option {
  const option = new Option(flags, help);
  return option.argParser((text) => {
    const value = parse(text);
    if (value === undefined)
      throw usageError(
        `${option.long}: expected ${/time/.test(flags) ? 'a time such as 30s or 5m' : 'a size such as 512MiB'}, got ${JSON.stringify(text)}.`,
      );
    return value;
  });
}

function duration(text: string): number | undefined {
  const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  if (text === '-1') return Number.POSITIVE_INFINITY;
  const [, amount, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? [];
  return amount === undefined ? undefined : Number(amount) * (units[unit] as number);
}

async function serve(sources: readonly string[], values: ServeValues): Promise<void> {
  const keys = await keysOf(values);
  const isLocal = ['127.0.0.1', 'localhost', '::1'].includes(values.host);
  await untilInterrupted(async (signal) => {
    const { createHandler, createLog, listen, staticPage } = await import('@relufy/server');
    const { sitePage } = await import('@relufy/web');
    const speculation = speculationOf(values);
    if (speculation.model !== undefined)
      throw usageError(`--speculate: expected prompt, reuse or plan:PLAN, got ${JSON.stringify(speculation.model)}.`);
    const load = {
      ...loadOptionsOf(values),
      ...speculation.options,
      slots: values.slots ?? (values.memoryBudget === undefined ? usualSlots : 1),
    };
    const models = await servedModels(sources, load, signal);
    const local = ['127.0.0.1', 'localhost', '[::1]'];
    const hosts = values.allowHost ? [...local, ...values.allowHost] : isLocal ? local : undefined;
    const handler = createHandler({
      models,
      apiKeys: keys,
      queue: values.queue,
      bodyBytes: values.bodyLimit,
      deadlineMs: values.deadline,
      logsPrompts: values.logPrompts === true,
      recommendedSampling: values.recommended,
      log: createLog({ level: values.logLevel }),
      version: ownVersion(),
      ...(values.keepAlive !== undefined && { keepAliveMs: values.keepAlive }),
      ...(values.memory !== undefined && { memoryBytes: values.memory }),
      ...(values.batches !== undefined && { batches: { url: values.batches, workers: values.batchWorkers } }),
      ...(values.cors && { origins: values.cors }),
      ...(hosts && { hosts }),
      ...(values.web !== false && {
        page: values.web === undefined ? sitePage({ server: 'v1' }) : staticPage(pageFolder(values.web)),
      }),
    });
    await handler.ready;
    const listening = await listen(handler, { port: values.port, hostname: values.host });
    tell(
      `Listening on ${listening.url}${keys.length === 0 && !isLocal ? ', open to anybody who reaches it: give it --api-key' : ''}`,
    );
    try {
      const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      const [first] = models as [ServedModel, ...ServedModel[]];
      const loading = models.length === 1 ? handler.preload(first.id) : Promise.resolve();
      // a model that cannot be loaded ends a server that has no other
      await Promise.race([ended, loading]);
      await ended;
    } finally {
      await listening.close(values.drain);
    }
  });
}

async function keysOf({ apiKey = [], apiKeyFile }: ServeValues): Promise<readonly string[]> {
  const { RELUFY_API_KEY: ofEnvironment } = process.env;
  const ofFile = apiKeyFile === undefined ? '' : await readTextFile('--api-key-file', apiKeyFile);
  const keys = [...apiKey, ...ofFile.split('\n'), ...(ofEnvironment === undefined ? [] : [ofEnvironment])]
    .map((key) => key.trim())
    .filter((key) => key !== '');
  // a file without a key must not open the server to everybody
  if (keys.length === 0 && (apiKeyFile !== undefined || apiKey.length > 0))
    throw usageError('--api-key: expected a key, got an empty text.');
  return [...new Set(keys)];
}

function pageFolder(folder: string): string {
  try {
    if (statSync(folder).isDirectory()) return folder;
  } catch {}
  throw usageError(`--web: expected a folder, got ${JSON.stringify(folder)}.`);
}

/** Opens what the sources name, and reads their headers: a model that cannot be run is refused at once. */
async function servedModels(
  sources: readonly string[],
  options: LoadOptions,
  signal: AbortSignal,
): Promise<readonly ServedModel[]> {
  const { inspectModel } = await import('../inspection.js');
  const { loadModel, openSource } = await import('../node/load-model.js');
  const { plan: _, draftPlan: __, speculate: ___, ...planned } = options;
  const served: ServedModel[] = [];
  for (const given of sources) {
    const { id, source } = named(given);
    if (served.some((other) => other.id === id))
      throw usageError(`MODEL: expected names that differ, got ${JSON.stringify(id)} twice. Write NAME=MODEL.`);
    const { inspection } = await inspectModel(await openSource(source, { signal }), planned);
    const { modelType, parameters, contextLength, checkpoint, formats, memory } = inspection;
    served.push({
      id,
      aliases: source === id ? [] : [source],
      facts: {
        modelType,
        parameters,
        contextLength,
        sizeBytes: checkpoint.bytes,
        memoryBytes: memory.total,
        ...(formats[0] && { dtype: formats[0].memory }),
      },
      load: (hooks) => loadModel(source, { ...options, ...hooks }),
    });
  }
  return served;
}

/** `NAME=MODEL`; a folder or a file goes by its own name. */
function named(given: string): { readonly id: string; readonly source: string } {
  const [, name, source] = /^([\w.-]+)=(.+)$/.exec(given) ?? [];
  if (name !== undefined && source !== undefined) return { id: name, source };
  if (/^(\.{0,2}\/|file:|https?:)/.test(given) || given.endsWith('.gguf'))
    return { id: basename(given.replace(/\/+$/, '')).replace(/\.gguf$/, '') || given, source: given };
  return { id: given, source: given };
}

function ownVersion(): string {
  const file = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}
