// AdamW as ops at the end of a program: which buffers are trained, what is kept beside them, the norm of their gradients,
// and the update. Does not own gradients (@relufy/tensor) or when a step is taken (program-trainer.ts).
import {
  type BufferDecl,
  type BufferView,
  elementCount,
  type ProgramBuilder,
  partSize,
  RelufyError,
  scheduleFields,
} from '@relufy/tensor';

/** What the optimiser does with some of the parameters. The first group that matches a parameter has it. */
export interface ParameterGroup {
  /** Of the program's names, for example `embedTokens` or `layers.3.down.weight`. */
  readonly match: (buffer: BufferDecl) => boolean;
  /** Decoupled. */
  readonly weightDecay: number;
  /** Times the learning rate; 0: not trained. */
  readonly lrScale: number;
}

export interface OptimizerOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly groups: readonly ParameterGroup[];
  /** Keep an exponential moving average of the parameters. */
  readonly ema?: boolean;
}

/** What an optimiser step is told. */
export interface UpdateOptions {
  readonly learningRate: number;
  /** 0: no clipping. */
  readonly maxGradNorm: number;
  /** The share of itself that the average of the parameters keeps. */
  readonly emaDecay?: number;
}

/** A trained buffer, and what training keeps beside it. */
export interface TrainedParameter {
  readonly parameter: BufferDecl;
  readonly gradient: BufferDecl;
  readonly m: BufferDecl;
  readonly v: BufferDecl;
  readonly average?: BufferDecl;
  readonly group: ParameterGroup;
}

/**
 * Those of the candidates that a group trains. They must be state, which programs may write.
 * @throws RelufyError `option` when there is none.
 */
export function trainedParameters(
  candidates: readonly BufferDecl[],
  { groups, ema = false }: Pick<OptimizerOptions, 'groups' | 'ema'>,
): TrainedParameter[] {
  const found = candidates.flatMap((parameter): TrainedParameter[] => {
    const group = groups.find(({ match }) => match(parameter));
    if (group === undefined || group.lrScale === 0) return [];
    const beside = (role: string): BufferDecl => ({ ...parameter, name: `${parameter.name}.${role}` });
    const kept = { gradient: beside('gradient'), m: beside('m'), v: beside('v') };
    return [{ parameter, ...kept, group, ...(ema && { average: beside('average') }) }];
  });
  if (found.length === 0)
    throw new RelufyError('option', 'training: expected parameters to train, got groups that match none.');
  return found;
}

/** What is kept beside a parameter. */
export const buffersBeside = ({ gradient, m, v, average }: TrainedParameter): BufferDecl[] =>
  average === undefined ? [gradient, m, v] : [gradient, m, v, average];

/** What the host says of each update (`writeSchedule`). */
export const scheduleInput: BufferDecl = {
  name: 'schedule',
  kind: 'input',
  dtype: 'f32',
  shape: [Object.keys(scheduleFields).length],
};

export interface AppendedOptimizer {
  /** The first op that updates; those before it, from where the optimiser was appended, measure the gradients' norm. */
  readonly measured: number;
  /** Kept: the norm of all gradients, and the factor that clips them. */
  readonly clip: string;
}

/** Appends clipping and AdamW. A parameter's gradient is zero afterwards. */
export function appendOptimizer(
  builder: ProgramBuilder,
  parameters: readonly TrainedParameter[],
  { beta1, beta2, eps }: Pick<OptimizerOptions, 'beta1' | 'beta2' | 'eps'>,
): AppendedOptimizer {
  const partsOf = (decl: BufferDecl): number => Math.ceil(elementCount(decl, noSteps) / partSize);
  const count = parameters.reduce((sum, { gradient }) => sum + partsOf(gradient), 0);
  const parts = builder.activation('squares', [count]);
  const clip = builder.activation('clip', [2]);
  let first = 0;
  for (const { gradient } of parameters) {
    builder.op('sumSquares', { x: builder.use(gradient), parts }, { first });
    first += partsOf(gradient);
  }
  const schedule = builder.use(scheduleInput);
  builder.op('clip', { parts, schedule, out: clip });
  const measured = builder.ops.length;
  for (const { group, ...buffers } of parameters) {
    const operands = Object.fromEntries(Object.entries(buffers).map(([role, decl]) => [role, builder.use(decl)]));
    const { weightDecay: decay, lrScale: rate } = group;
    builder.op('adamW', { ...operands, schedule, clip }, { beta1, beta2, eps, decay, rate });
  }
  for (const kept of [parts, clip]) builder.keep(kept);
  return { measured, clip };
}

const noSteps = { maxRows: 0, maxOutputs: 0 };

/** `updates`: so far, the one at hand included: what Adam's corrections need. */
export function writeSchedule(
  schedule: BufferView,
  updates: number,
  betas: Pick<OptimizerOptions, 'beta1' | 'beta2'>,
  { learningRate, maxGradNorm, emaDecay = 0 }: UpdateOptions,
): void {
  // as the kernels have the betas
  const [beta1, beta2] = [Math.fround(betas.beta1), Math.fround(betas.beta2)];
  schedule[scheduleFields.learningRate] = learningRate;
  schedule[scheduleFields.correction1] = 1 - beta1 ** updates;
  schedule[scheduleFields.correction2] = 1 - beta2 ** updates;
  schedule[scheduleFields.maxNorm] = maxGradNorm;
  schedule[scheduleFields.averageDecay] = emaDecay;
}
