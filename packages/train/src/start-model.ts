// What a run begins with: a spec, its family, the config.json behind it, a tokenizer, and weights from a checkpoint or
// drawn by the seed. Owns the first numbers of parameters. Does not own relufication (@relufy/models), training or output.
import type { ModelFiles } from '@relufy/checkpoint';
import {
  applyPlan,
  companionFiles,
  type ModelSpec,
  openModelFiles,
  type ParsedConfig,
  parseConfig,
  planModel,
  readTexts,
  readTokenizer,
  refuseRepeated,
  relufy,
  tokenizerFiles,
  type WeightMap,
} from '@relufy/models';
import { elementCount, parseJson, RelufyError } from '@relufy/tensor';
import type { Tokenizer } from '@relufy/tokenizer';
import type { RunConfig } from './config.js';
import { Random } from './random.js';
import { recurrentStart } from './recurrent-start.js';
import { risingPlan } from './rising-thresholds.js';
import type { TrainingSession } from './session.js';

export interface StartModel {
  readonly name: string;
  readonly config: ParsedConfig;
  readonly spec: ModelSpec;
  /** What config.json says, before relufication. */
  readonly configJson: Readonly<Record<string, unknown>>;
  readonly map: WeightMap;
  readonly tokenizer: Tokenizer;
  /** The tokenizer's files, and those that go with them, as texts. */
  readonly texts: ReadonlyMap<string, string>;
  /** Rows of tensors that no buffer holds. */
  readonly remainder: ReadonlyMap<string, Float32Array>;
  /** Fills the parameters of a session. */
  load(session: TrainingSession): Promise<void>;
}

export type OpenModel = (source: string) => Promise<ModelFiles>;

/** @throws RelufyError for a model that cannot be trained or a tokenizer that does not fit. */
export async function startModel(
  config: RunConfig,
  open: OpenModel = (source) => openModelFiles(source),
): Promise<StartModel> {
  const { from, tokenizer: tokenizerFrom } = config.model;
  const files = from === undefined ? undefined : await open(from);
  const tokenizerFolder = tokenizerFrom === undefined ? (files as ModelFiles) : await open(tokenizerFrom);
  const tokenizer = await readTokenizer(tokenizerFolder);
  if (tokenizer === undefined)
    throw new RelufyError('tokenizer', `${tokenizerFolder.name}: expected a tokenizer.json, got none.`);
  const texts = await companionTexts(tokenizerFolder, files);
  const base = files === undefined ? drawn(config) : await loaded(files, config);
  if (tokenizer.vocabSize > base.spec.vocabSize)
    throw new RelufyError(
      'option',
      `${tokenizerFolder.name}: expected at most ${base.spec.vocabSize} tokens (the model's vocab_size), got ${tokenizer.vocabSize}. The tokenizer belongs to another model.`,
    );
  refuseRepeated(base.name, base.map);
  return { ...base, tokenizer, texts };
}

type Base = Omit<StartModel, 'tokenizer' | 'texts'>;

/** The spec that is trained: relufied, with masks whose thresholds rise. */
function trainedSpec(spec: ModelSpec, { model, masks }: RunConfig): ModelSpec {
  const relufied = model.relufy === undefined ? spec : relufy(spec, model.relufy);
  return masks.length === 0 ? relufied : applyPlan('masks', relufied, risingPlan(masks));
}

function drawn(run: RunConfig): Base {
  const configJson = run.model.config as Readonly<Record<string, unknown>>;
  const config = parseConfig(configJson);
  const spec = trainedSpec(config.spec, run);
  if (run.contextLength > spec.maxPositionEmbeddings)
    throw new RelufyError(
      'option',
      `contextLength: expected at most ${spec.maxPositionEmbeddings} (max_position_embeddings), got ${run.contextLength}.`,
    );
  return {
    name: 'config',
    config,
    spec,
    configJson,
    map: config.family.weights(spec),
    remainder: new Map(),
    load: async (session) => initialise(session, run.seed, run.model.initializerRange),
  };
}

async function loaded(files: ModelFiles, run: RunConfig): Promise<Base> {
  const plan = await planModel(files, { contextLength: run.contextLength });
  const text = (await files.readText('config.json')) as string;
  const spec = trainedSpec(plan.spec, run);
  const map = plan.config.family.weights(spec);
  const remainder = new Map<string, Float32Array>();
  // rows of a table that no token reaches; slices of fused tensors are all somewhere
  for (const [buffer, parts] of map)
    for (const { tensor, tensorRows, rows } of parts)
      if (parts.length === 1 && rows < tensorRows && buffer === 'embedPositions') {
        const stored = plan.checkpoint.tensors.get(tensor) ?? plan.checkpoint.tensors.get(tensor.replace('model.', ''));
        if (stored?.floatDType !== 'f32') continue;
        const { data } = await plan.checkpoint.readRows(stored.name, 0, tensorRows);
        remainder.set(tensor, new Float32Array(data.slice().buffer));
      }
  await plan.checkpoint.close();
  return {
    name: files.name,
    config: plan.config,
    spec,
    configJson: parseJson(text) as Readonly<Record<string, unknown>>,
    map,
    remainder,
    load: async (session) => {
      const again = await planModel(files, { contextLength: run.contextLength });
      try {
        await again.sources.load({ name: files.name, session: session.session, buffers: session.step.buffers });
      } finally {
        await again.checkpoint.close();
      }
    },
  };
}

/** Matrices are normal, those that end a branch narrower by the depth (GPT-2); norms begin at 1, biases at 0, a recurrent mixer's vectors as RWKV-4's. */
export async function initialise(session: TrainingSession, seed: number, deviation: number): Promise<void> {
  const depth = Math.sqrt(2 * session.spec.numHiddenLayers);
  for (const [index, { parameter }] of session.step.parameters.entries()) {
    const { name, shape } = parameter;
    const values = new Float32Array(elementCount(parameter, session.limits));
    const recurrent = recurrentStart(session.spec, name, values.length);
    if (recurrent) values.set(recurrent);
    else if (/[nN]orm\.weight$/.test(name)) values.fill(1);
    else if (!/bias$/.test(name) && shape.length > 1) {
      const random = new Random(seed, 3, index);
      const scale = /\.(o|down)\.weight$/.test(name) ? deviation / depth : deviation;
      for (let i = 0; i < values.length; i++) values[i] = scale * random.normal();
    }
    await session.session.write(name, values);
  }
}

/** The tokenizer's files, and those that say how the model generates. */
async function companionTexts(tokenizer: ModelFiles, model = tokenizer): Promise<ReadonlyMap<string, string>> {
  const texts = [tokenizer, model].map((files, at) => readTexts(files, at === 0 ? tokenizerFiles : generationFiles));
  return new Map((await Promise.all(texts)).flatMap((found) => [...found]));
}

const generationFiles = companionFiles.filter((name) => !tokenizerFiles.includes(name));
