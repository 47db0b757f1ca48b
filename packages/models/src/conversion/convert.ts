// Conversion: a model of any format -> the files of a folder, as a plan that a writer streams. Two layouts: `hf`, the
// names and shapes of the family, for every tool; `packed`, the decoder's buffers as they lie in memory.
// Memory used: one matrix. Does not own writing (node/convert.ts) nor GGUF (@relufy/checkpoint).
import {
  type Checkpoint,
  checkModelFiles,
  type ModelFiles,
  type TensorInfo,
  type TensorToWrite,
} from '@relufy/checkpoint';
import {
  aBoolean,
  aFunction,
  anything,
  aSignal,
  type BufferDecl,
  type BufferView,
  byteCount,
  checkOptions,
  checkValue,
  type DType,
  elementCount,
  isBlockDType,
  isFiniteBuffer,
  oneOf,
  RelufyError,
  show,
  type WeightDType,
  weightDTypes,
} from '@relufy/tensor';
import { listedNeuronRoles, type Role } from '../decoder/projections.js';
import type { WeightMap, WeightPart } from '../families/family.js';
import { parseConfig } from '../families/index.js';
import { fingerprint } from '../loading/fingerprint.js';
import {
  checkFinite,
  checkShapes,
  convert,
  type FillOptions,
  fillBuffer,
  isFamilySources,
} from '../loading/load-weights.js';
import { companionFiles, type ModelFolder, modelTexts, readTexts } from '../loading/model-folder.js';
import { bundledTensor, packedAlignment, packedMetadata, packedTensor } from '../loading/packed.js';
import { planModel, readJson } from '../loading/plan-model.js';
import { planConfigFile, planJson } from '../sparsity/plan.js';
import type { OpenedPlan } from '../sparsity/plan-weights.js';
import { relufiedConfig } from '../sparsity/relufied-config.js';
import { checkRelufyOptions, type RelufyOptions } from '../sparsity/relufy.js';
import type { ModelSpec } from '../spec.js';

export interface ConversionOptions {
  readonly dtype: WeightDType;
  /** Default: `packed` for block formats, which only it can hold, else `hf`. */
  readonly layout?: 'hf' | 'packed';
  /** Convert as a ReLU model; recorded in config.json, so that loading needs no option. */
  readonly relufy?: RelufyOptions;
  /** The folder of a sparsity plan, for which `packed` lays the weights out; the metadata records it. */
  readonly plan?: ModelFiles;
  /**
   * Of `packed`: what a neuron has in the matrices that a memoryBudget leaves in the file lies side by side, and is read at
   * once. Such matrices are not mapped where all of the model is in memory.
   */
  readonly bundle?: boolean;
  /**
   * What `inputMeanSquares` gives for this model, for int4 and uint4: their blocks then err less where inputs are large.
   * Blocks that the file already has in this format stay as they are.
   */
  readonly importance?: ReadonlyMap<string, Float32Array>;
  readonly onProgress?: (progress: { readonly loaded: number; readonly total: number }) => void;
  readonly signal?: AbortSignal;
}

/** Formats whose blocks are searched for the least error that matters. */
export const searchedDTypes: readonly WeightDType[] = ['int4', 'uint4'];

/** What the converted folder holds. `close` gives the source back. */
export type Conversion = ModelFolder & Required<Pick<ModelFolder, 'metadata' | 'alignment' | 'close'>>;

/** @throws RelufyError `option` for options that do not exist or do not fit. */
export function checkConversionOptions(options: ConversionOptions): void {
  checkOptions('convert', options, {
    dtype: oneOf(...weightDTypes),
    layout: oneOf('hf', 'packed'),
    relufy: anything, // relufy.ts looks into it
    plan: anything, // an open one
    bundle: aBoolean,
    importance: anything, // checked below
    onProgress: aFunction,
    signal: aSignal,
  });
  if (options.dtype === undefined) checkValue('convert option "dtype"', undefined, oneOf(...weightDTypes));
  if (options.relufy !== undefined) checkRelufyOptions(options.relufy);
  const { dtype, importance } = options;
  if (importance === undefined) return;
  const fits = importance instanceof Map && [...importance.values()].every((each) => isFiniteBuffer('f32', each, 0));
  if (!fits || !searchedDTypes.includes(dtype))
    throw new RelufyError(
      'option',
      `convert option "importance": expected finite numbers by buffer, with dtype ${searchedDTypes.join(' or ')}, got ${fits ? dtype : show(importance)}.`,
    );
}

/** Reads headers and checks that everything fits; the tensors' data is produced when a writer asks for it. */
export async function planConversion(files: ModelFiles, options: ConversionOptions): Promise<Conversion> {
  checkConversionOptions(options);
  checkModelFiles('convert', files);
  const { dtype, signal } = options;
  const layout = options.layout ?? (isBlockDType(dtype) ? 'packed' : 'hf');
  if (layout === 'hf' && isBlockDType(dtype))
    throw new RelufyError('option', `convert option "layout": expected packed for ${dtype}, got hf.`);
  if (layout === 'hf' && options.plan)
    throw new RelufyError(
      'option',
      `convert option "plan": expected the layout packed, which a plan decides, got hf. Other layouts need no plan.`,
    );
  if (layout === 'hf' && options.bundle)
    throw new RelufyError('option', 'convert option "bundle": expected the layout packed, got hf.');
  const plan = await planModel(files, {
    dtype,
    contextLength: 1,
    ...(options.relufy && { relufy: options.relufy }),
    ...(options.plan && { plan: options.plan }),
    ...(signal && { signal }),
  });
  const { checkpoint, decoder, sources } = plan;
  try {
    if (!isFamilySources(sources))
      throw new RelufyError(
        'option',
        `convert: expected an original checkpoint, got ${files.name}, which is packed already. Convert the model that it was made from.`,
      );
    const decls = new Map(decoder.buffers.map((decl) => [decl.name, decl]));
    for (const [buffer, parts] of sources.map)
      checkShapes(files.name, parts, decls.get(buffer) as BufferDecl, checkpoint);
    let loaded = 0;
    const fill: FillOptions = {
      name: files.name,
      signal,
      importance: options.importance,
      onBytes: (_, bytes) => {
        loaded += bytes;
        options.onProgress?.({ loaded: Math.min(loaded, checkpoint.totalBytes), total: checkpoint.totalBytes });
      },
    };
    const texts = await folderTexts(files, options, plan.spec);
    const { close } = plan;
    if (layout === 'hf') {
      const tensors = familyTensors(sources.map, checkpoint, dtype, fill);
      return { texts, tensors, metadata: { format: 'pt' }, alignment: 8, close };
    }
    const bytesOf = (decl: BufferDecl) =>
      bufferBytes(checkpoint, sources.map.get(decl.name) as readonly WeightPart[], decl, fill);
    const bundle = options.bundle ? bundledRoles(files.name, plan.spec) : [];
    const tensors = bundledOrNot(decoder.buffers, bundle, bytesOf);
    const madeFrom = await fingerprint(plan.config.spec, checkpoint, signal);
    const metadata = packedMetadata(decoder.buffers, madeFrom, plan.sparsityPlan?.plan, bundle);
    const conversion = { texts, tensors, metadata, alignment: packedAlignment, close };
    return plan.sparsityPlan ? withPlan(conversion, plan.sparsityPlan) : conversion;
  } catch (error) {
    await plan.close();
    throw error;
  }
}

function bundledRoles(name: string, spec: ModelSpec): readonly Role[] {
  const roles = listedNeuronRoles(spec);
  if (roles.length < 2)
    throw new RelufyError(
      'option',
      `convert option "bundle": expected a model of which a token reads several rows a neuron and no others, got ${name}, where it is ${roles.length === 0 ? 'none' : `only those of ${roles[0]}`}. Convert it without.`,
    );
  return roles;
}

/** The weights as tensors, those of bundled roles a layer together. */
function bundledOrNot(
  buffers: readonly BufferDecl[],
  bundle: readonly Role[],
  bytesOf: (decl: BufferDecl) => AsyncGenerator<Uint8Array>,
): TensorToWrite[] {
  const bundles = new Map<string, BufferDecl[]>();
  const tensors: TensorToWrite[] = [];
  for (const decl of buffers.filter(({ kind }) => kind === 'weight')) {
    const [, layer, role] = /^(layers\.\d+)\.(\w+)\.weight$/.exec(decl.name) ?? [];
    if (layer === undefined || !bundle.includes(role as Role)) tensors.push(packedTensor(decl, () => bytesOf(decl)));
    else bundles.set(layer, [...(bundles.get(layer) ?? []), decl]);
  }
  for (const decls of bundles.values()) {
    const inOrder = bundle.map((role) => decls.find(({ name }) => name.endsWith(`.${role}.weight`)) as BufferDecl);
    tensors.push(bundledTensor(inOrder, () => bundleBytes(inOrder, bytesOf)));
  }
  return tensors;
}

/** Row by row of several matrices of the same shape. */
async function* bundleBytes(
  decls: readonly BufferDecl[],
  bytesOf: (decl: BufferDecl) => AsyncGenerator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let bundle = new Uint8Array(0);
  for (const [index, decl] of decls.entries())
    for await (const own of bytesOf(decl)) {
      if (index === 0) bundle = new Uint8Array(own.length * decls.length);
      const stride = own.length / (decl.shape[0] as number);
      for (let row = 0; row * stride < own.length; row++)
        bundle.set(own.subarray(row * stride, (row + 1) * stride), (row * decls.length + index) * stride);
    }
  yield bundle;
}

/** The plan comes along, beside the weights that are laid out for it. */
function withPlan(conversion: Conversion, { plan, weights }: OpenedPlan): Conversion {
  const texts = new Map([...conversion.texts, [planConfigFile, planJson(plan)]]);
  if (weights === undefined) return { ...conversion, texts };
  const planTensors = [...weights.tensors.values()].map(({ name, dtype, shape }): TensorToWrite => {
    const data = async function* () {
      yield (await weights.readRows(name, 0, shape.length === 1 ? 1 : (shape[0] as number))).data;
    };
    return { name, dtype, shape, data };
  });
  return { ...conversion, texts, planTensors };
}

/** config.json with what was changed, and everything that goes with the weights. */
async function folderTexts(
  files: ModelFiles,
  options: ConversionOptions,
  spec: ModelSpec,
): Promise<ReadonlyMap<string, string>> {
  const config = (await readJson(files, 'config.json', options.signal)) as Record<string, unknown>;
  const retied = parseConfig(config).spec.tieWordEmbeddings !== spec.tieWordEmbeddings;
  const written = options.relufy
    ? relufiedConfig(config, spec)
    : { ...config, ...(retied && { tie_word_embeddings: spec.tieWordEmbeddings }) };
  return modelTexts(written, await readTexts(files, companionFiles, options.signal));
}

/** The family's own tensors, each once, in its own shape. */
function familyTensors(map: WeightMap, checkpoint: Checkpoint, dtype: DType, fill: FillOptions): TensorToWrite[] {
  const names = new Set([...map.values()].flat().map(({ tensor }) => tensor));
  return [...names].map((name) => {
    const info = checkpoint.tensors.get(name) as TensorInfo;
    const data = () => tensorBytes(checkpoint, info, dtype, fill);
    return { name, dtype: dtype === 'f32' ? 'F32' : 'BF16', shape: info.shape, data };
  });
}

async function* bufferBytes(
  checkpoint: Checkpoint,
  parts: readonly WeightPart[],
  decl: BufferDecl,
  fill: FillOptions,
): AsyncGenerator<Uint8Array> {
  const limits = { maxRows: 0, maxOutputs: 0 };
  const target: BufferView = isBlockDType(decl.dtype)
    ? new Uint8Array(byteCount(decl, limits))
    : new (decl.dtype === 'bf16' ? Uint16Array : Float32Array)(elementCount(decl, limits));
  await fillBuffer(checkpoint, parts, decl, () => target, fill);
  yield new Uint8Array(target.buffer);
}

async function* tensorBytes(
  checkpoint: Checkpoint,
  info: TensorInfo,
  to: DType,
  { name, signal, onBytes }: FillOptions,
): AsyncGenerator<Uint8Array> {
  const columns = info.shape.at(-1) ?? 1;
  const rows = info.shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const chunkRows = Math.max(1, Math.floor((1 << 20) / columns));
  for (let row = 0; row < rows; row += chunkRows) {
    const count = Math.min(chunkRows, rows - row);
    const { dtype, data } = await checkpoint.readRows(info.name, row, count, signal);
    const values = convert(dtype, data, to);
    checkFinite(name, info.name, to, values);
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    onBytes?.(info.file, (info.byteLength / rows) * count);
  }
}
