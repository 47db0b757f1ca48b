// What can be known of a model without reading its weights: spec, memory, where it is sparse, its tensors and program.
// Reads config.json and the headers of the checkpoint, and plans the step as loading would.
// Does not own how it is shown (commands/inspect.ts).
import {
  buildDecoder,
  type Checkpoint,
  isReluLike,
  type LoadOptions,
  locatePacked,
  locateWeights,
  type ModelFiles,
  type ModelSpec,
  openCheckpoint,
  parameterCount,
  parseConfig,
  type WeightRead,
} from '@relufy/models';
import {
  type BufferDecl,
  byteCount,
  type DType,
  type Program,
  planMemory,
  RelufyError,
  type StepLimits,
  unitBytes,
} from '@relufy/tensor';

export interface Inspection {
  readonly name: string;
  readonly modelType: string;
  readonly parameters: number;
  readonly contextLength: number;
  readonly sparsity: 'exact' | 'dense';
  readonly spec: ModelSpec;
  /** The format of the files, and the bytes of all tensors as stored. */
  readonly checkpoint: { readonly format: string; readonly tensors: number; readonly bytes: number };
  /** Bytes, once loaded. */
  readonly memory: {
    readonly weights: Readonly<Record<string, number>>;
    readonly kvCache: number;
    readonly activations: number;
    readonly total: number;
  };
  /** What one decoded token reads of the weights, by site. */
  readonly sites: readonly SiteReads[];
}

export interface SiteReads {
  readonly site: WeightRead['site'];
  readonly weightBytes: number;
  /** Neurons or channels that are not active are skipped. */
  readonly sparse: boolean;
  readonly transposed: boolean;
}

export interface TensorListing {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly file: string;
}

export interface Inspected {
  readonly inspection: Inspection;
  readonly tensors: readonly TensorListing[];
  readonly program: Program;
}

/** The limits of a step and the default context of loadModel. */
const maxRows = 128;
const maxLogits = 1 << 24;
const defaultContext = 4096;

export type InspectOptions = Pick<LoadOptions, 'dtype' | 'sparsity' | 'contextLength'>;

/** @throws RelufyError for a config that cannot be run or a checkpoint that does not belong to it. */
export async function inspectModel(files: ModelFiles, options: InspectOptions = {}): Promise<Inspected> {
  const config = parseConfig(await readConfig(files));
  const checkpoint = await openCheckpoint(files);
  try {
    const { spec, family, modelType } = config;
    const sources =
      locatePacked(files.name, checkpoint) ?? locateWeights(files.name, family, family.weights(spec), checkpoint);
    const contextLength = contextOf(spec, options.contextLength);
    const limits: StepLimits = {
      maxRows: Math.min(maxRows, contextLength),
      maxOutputs: Math.max(1, Math.min(maxRows, contextLength, Math.floor(maxLogits / spec.vocabSize))),
    };
    const { dtype = 'auto' } = options;
    const matrixDType = (buffer: string): DType => (dtype === 'auto' ? sources.storedDType(buffer) : dtype);
    const sparsity = options.sparsity ?? (isReluLike(spec.ffn.activation) || spec.norm.relu ? 'exact' : 'dense');
    const decoder = buildDecoder(spec, { limits, slots: 1, contextLength, matrixDType });
    const { program, reads } = decoder.build({ sparsity });
    return {
      inspection: {
        name: files.name,
        modelType,
        parameters: parameterCount(spec),
        contextLength,
        sparsity,
        spec,
        checkpoint: { format: checkpoint.format, tensors: checkpoint.tensors.size, bytes: checkpoint.totalBytes },
        memory: memoryOf(decoder.buffers, program, limits),
        sites: sitesOf(reads, program),
      },
      tensors: tensorsOf(checkpoint),
      program,
    };
  } finally {
    await checkpoint.close();
  }
}

function contextOf(spec: ModelSpec, asked: number | undefined): number {
  const limit = spec.maxPositionEmbeddings;
  if (asked !== undefined && asked > limit)
    throw new RelufyError(
      'option',
      `--context-length: expected at most ${limit} (the limit of the model), got ${asked}.`,
    );
  return asked ?? Math.min(limit, defaultContext);
}

function memoryOf(buffers: readonly BufferDecl[], program: Program, limits: StepLimits): Inspection['memory'] {
  const weights: Record<string, number> = {};
  let kvCache = 0;
  for (const buffer of buffers) {
    const bytes = byteCount(buffer, limits);
    if (buffer.kind === 'weight') weights[buffer.dtype] = (weights[buffer.dtype] ?? 0) + bytes;
    if (buffer.kind === 'state') kvCache += bytes;
  }
  const activations = planMemory(program).totalUnits * unitBytes;
  const total = Object.values(weights).reduce((sum, bytes) => sum + bytes, kvCache + activations);
  return { weights, kvCache, activations, total };
}

/** The products of all layers together, by site, in the order in which a step comes to them. */
function sitesOf(reads: readonly WeightRead[], program: Program): SiteReads[] {
  const sites = new Map<WeightRead['site'], SiteReads>();
  for (const { site, weight, rowBytes, rows, activeCount } of reads) {
    const before = sites.get(site)?.weightBytes ?? 0;
    const transposed = program.buffers.get(weight)?.transposed === true;
    sites.set(site, { site, weightBytes: before + rowBytes * rows, sparse: activeCount !== undefined, transposed });
  }
  return [...sites.values()];
}

function tensorsOf(checkpoint: Checkpoint): TensorListing[] {
  return [...checkpoint.tensors.values()].map(({ name, dtype, shape, file }) => ({ name, dtype, shape, file }));
}

async function readConfig(files: ModelFiles): Promise<unknown> {
  const text = await files.readText('config.json');
  if (text === undefined)
    throw new RelufyError(
      'io',
      `${files.name}: expected a config.json, found none. Name the folder of a model in Hugging Face layout.`,
    );
  try {
    return JSON.parse(text);
  } catch (cause) {
    const got = JSON.stringify(text.slice(0, 40));
    throw new RelufyError('config', `${files.name} config.json: expected JSON, got ${got}. Download it again.`, {
      cause,
    });
  }
}
