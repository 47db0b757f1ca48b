// What can be known of a model without reading its weights: spec, memory, where it is sparse, its tensors and program.
// Reads config.json and the headers of the checkpoint, and plans the step as loading would.
// Does not own how it is shown (commands/inspect.ts).
import {
  type Checkpoint,
  isFamilySources,
  type ModelFiles,
  type ModelPlan,
  type ModelSpec,
  type PlanOptions,
  parameterCount,
  planModel,
  type SparsityPlan,
  type WeightRead,
} from '@relufy/models';
import {
  type BufferDecl,
  byteCount,
  type DType,
  type Program,
  planMemory,
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
  /** What the matrices are stored as, and what they are in memory; for a quantised GGUF the two differ. */
  readonly formats: readonly { readonly stored: string; readonly memory: DType }[];
  /** Bytes, once loaded. */
  readonly memory: {
    readonly weights: Readonly<Record<string, number>>;
    readonly kvCache: number;
    /** What a recurrent mixer keeps of a sequence, whatever its length; 0 with attention. */
    readonly recurrentState: number;
    /** Which neurons earlier tokens used, for `reuse`. */
    readonly reuseMarks: number;
    readonly activations: number;
    readonly total: number;
  };
  /** The sparsity plan that was asked for. */
  readonly plan?: SparsityPlan;
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

/** @throws RelufyError for a config that cannot be run or a checkpoint that does not belong to it. */
export async function inspectModel(files: ModelFiles, options: PlanOptions = {}): Promise<Inspected> {
  const plan = await planModel(files, options);
  const { spec, config, contextLength, sparsity, decoder, limits, checkpoint } = plan;
  try {
    const { program, reads } = decoder.build({ sparsity });
    return {
      inspection: {
        name: files.name,
        modelType: config.modelType,
        parameters: parameterCount(spec),
        contextLength,
        sparsity,
        spec,
        checkpoint: { format: checkpoint.format, tensors: checkpoint.tensors.size, bytes: checkpoint.totalBytes },
        formats: formatsOf(plan),
        memory: memoryOf(decoder.buffers, program, limits),
        ...(plan.sparsityPlan && { plan: plan.sparsityPlan.plan }),
        sites: sitesOf(reads, program),
      },
      tensors: tensorsOf(checkpoint),
      program,
    };
  } finally {
    await plan.close();
  }
}

function formatsOf({ sources, decoder, checkpoint }: ModelPlan): Inspection['formats'] {
  const pairs = new Map<string, Inspection['formats'][number]>();
  for (const { name, kind, dtype: memory, shape } of decoder.buffers) {
    if (kind !== 'weight' || shape.length < 2) continue;
    const tensors = isFamilySources(sources) ? (sources.map.get(name) ?? []).map(({ tensor }) => tensor) : [name];
    for (const tensor of tensors) {
      const stored = isFamilySources(sources) ? (checkpoint.tensors.get(tensor)?.dtype ?? '') : `packed ${memory}`;
      pairs.set(`${stored} ${memory}`, { stored, memory });
    }
  }
  return [...pairs.values()];
}

function memoryOf(buffers: readonly BufferDecl[], program: Program, limits: StepLimits): Inspection['memory'] {
  const weights: Record<string, number> = {};
  let [kvCache, recurrentState, reuseMarks] = [0, 0, 0];
  for (const buffer of buffers) {
    const bytes = byteCount(buffer, limits);
    if (buffer.kind === 'weight' || buffer.kind === 'constant')
      weights[buffer.dtype] = (weights[buffer.dtype] ?? 0) + bytes;
    if (buffer.name === 'kCache' || buffer.name === 'vCache') kvCache += bytes;
    else if (buffer.kind === 'state' && buffer.name.endsWith('.loaded')) reuseMarks += bytes;
    else if (buffer.kind === 'state') recurrentState += bytes;
  }
  const activations = planMemory(program).totalUnits * unitBytes;
  const other = kvCache + recurrentState + reuseMarks + activations;
  const total = Object.values(weights).reduce((sum, bytes) => sum + bytes, other);
  return { weights, kvCache, recurrentState, reuseMarks, activations, total };
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
