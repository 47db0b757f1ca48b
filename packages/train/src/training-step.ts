// A training step as one flat program: the decoder's forward pass, the loss, its gradients, clipping and AdamW. A range
// of its ops runs for each part of a batch, so gradients add up before the optimiser runs. Owns which buffers there are
// and the order of the ops. Does not own the decoder (@relufy/models), gradients (@relufy/tensor), memory or data.
import { buildDecoder, type DecoderProgram, type ModelSpec } from '@relufy/models';
import {
  activationCodes,
  appendGradients,
  type BufferDecl,
  type Dim,
  type DType,
  elementCount,
  type GradientTape,
  type Op,
  type Program,
  partSize,
  RelufyError,
  type StepLimits,
  scheduleFields,
} from '@relufy/tensor';

/** What the optimiser does with some of the parameters. The first group that matches a parameter has it. */
export interface ParameterGroup {
  /** Of the decoder's names, for example `embedTokens` or `layers.3.down.weight`. */
  readonly match: (buffer: BufferDecl) => boolean;
  /** Decoupled weight decay. */
  readonly decay: number;
  /** Times the learning rate; 0: not trained. */
  readonly rate: number;
}

export interface TrainingStepOptions {
  /** Tokens, and scored tokens, of one part of a batch. */
  readonly limits: StepLimits;
  /** Sequences of one part of a batch, and how long one may be. */
  readonly slots: number;
  readonly contextLength: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  readonly groups: readonly ParameterGroup[];
  /** Keep an exponential moving average of the parameters. */
  readonly average?: boolean;
  /** Tokens of the teacher's distribution that are given a position; 0: no distillation. */
  readonly teacherTokens?: number;
  /** An L1 term on what enters each `down` (ProSparse). Its norm and density are counted with or without it. */
  readonly penalty?: boolean;
  /** How far below its threshold a ReLU of the FFN passes gradients (HeLU). */
  readonly slack?: number;
  /** Compute each layer's activations again for its gradients, to save memory. */
  readonly recompute?: boolean;
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

export interface TrainingStep {
  /** Everything that outlives a step. */
  readonly buffers: readonly BufferDecl[];
  readonly parameters: readonly TrainedParameter[];
  readonly program: Program;
  /** Ops [0, accumulated): forward and backward of one part of a batch. */
  readonly accumulated: number;
  /** Ops [accumulated, measured): the norm of the gradients. The rest updates the parameters. */
  readonly measured: number;
  /** Log-probabilities of targets, for evaluation. */
  readonly evaluation: DecoderProgram;
  /** What enters `down`, per layer: kept sums of |h| and numbers of h != 0, both [rows]. */
  readonly activity: readonly { readonly norm: string; readonly activeCount: string }[];
  /** What enters each layer, kept so that numbers that are not finite can be traced. */
  readonly hidden: readonly string[];
}

/** Buffers that the host fills besides the decoder's inputs. */
export const trainingInputs = {
  /** f32 [outputs]: what a target's cross-entropy counts. */
  weights: 'targetWeights',
  /** i32 [rows]: the output that a row is, or -1. */
  outputOfRow: 'outputOfRow',
  schedule: 'schedule',
  /** f32 [1]: the penalty's lambda / (numbers it is a mean over). */
  penalty: 'penaltyCoefficient',
  teacherIds: 'teacherIds',
  teacherLogprobs: 'teacherLogprobs',
  teacherWeights: 'teacherWeights',
  inverseRope: 'ropeTable.inverse',
} as const;

/**
 * Builds a step for a spec.
 * @throws RelufyError `option` when no group trains anything.
 */
export function buildTrainingStep(spec: ModelSpec, options: TrainingStepOptions): TrainingStep {
  const { limits, slots, contextLength } = options;
  const decoder = buildDecoder(spec, { limits, slots, contextLength, matrixDType: () => 'f32', trained: true });
  const parameters = trainedParameters(decoder.buffers, options);
  const inputs = declareInputs(spec, options);
  const { builder, taps, logits, layers } = decoder.forward('training step');
  const known = new Map([...decoder.buffers, ...inputs].map((decl) => [decl.name, decl]));
  const use = (name: string) => builder.use(known.get(name) as BufferDecl);

  const teacher = (options.teacherTokens ?? 0) > 0 && {
    teacherIds: use(trainingInputs.teacherIds),
    teacherLogprobs: use(trainingInputs.teacherLogprobs),
    teacherWeight: use(trainingInputs.teacherWeights),
    divergence: builder.activation('divergence', ['outputs']),
  };
  const loss = builder.activation('loss', ['outputs']);
  const weight = use(trainingInputs.weights);
  builder.op('crossEntropy', { logits, target: use('targets'), weight, loss, ...teacher });

  const coefficients = use(trainingInputs.penalty);
  const activity = layers.map((_, layer) => ({
    norm: builder.activation(`norm.${layer}`, ['rows']),
    activeCount: builder.activation(`activeCount.${layer}`, ['rows'], 'i32'),
  }));
  const terms = activity.map((counts, layer): [string, (tape: GradientTape, x: string) => void] => [
    taps.get(`down.${layer}`) as string,
    (tape, x) => {
      const append = (residual?: string, out?: string) =>
        builder.op('penalty', { x, coefficients, residual, out, ...counts }, { index: 0 });
      if (options.penalty) tape.add(x, append);
      else append();
    },
  ]);
  appendGradients(builder, {
    seeds: new Map([[logits, logits]]),
    parameters: new Map(parameters.map(({ parameter, gradient }) => [parameter.name, gradient])),
    inverses: new Map(inverses.flatMap(([of, inverse]) => (known.has(inverse) ? [[of, known.get(inverse)!]] : []))),
    slack: (op) => (isFfnActivation(op) ? (options.slack ?? 0) : 0),
    terms: new Map(terms),
    recomputed: options.recompute ? layers : [],
  });
  const accumulated = builder.ops.length;

  const parts = builder.activation('squares', [partCount(parameters)]);
  const clip = builder.activation('clip', [2]);
  let first = 0;
  for (const { gradient } of parameters) {
    builder.op('sumSquares', { x: builder.use(gradient), parts }, { first });
    first += partsOf(gradient);
  }
  const schedule = use(trainingInputs.schedule);
  builder.op('clip', { parts, schedule, out: clip });
  const measured = builder.ops.length;

  const { beta1, beta2, eps } = options;
  for (const { group, ...buffers } of parameters) {
    const operands = Object.fromEntries(Object.entries(buffers).map(([role, decl]) => [role, builder.use(decl)]));
    builder.op('adamW', { ...operands, schedule, clip }, { beta1, beta2, eps, decay: group.decay, rate: group.rate });
  }
  const hidden = [...taps].flatMap(([tap, activation]) => (tap.startsWith('hidden.') ? [activation] : []));
  const counts = activity.flatMap(({ norm, activeCount }) => [norm, activeCount]);
  for (const kept of [loss, ...(teacher ? [teacher.divergence] : []), clip, parts, ...counts, ...hidden])
    builder.keep(kept);

  return {
    buffers: [...decoder.buffers, ...inputs, ...parameters.flatMap(ownBuffers)],
    parameters,
    program: builder.build(),
    accumulated,
    measured,
    evaluation: decoder.build({ sparsity: 'dense', head: 'logprobs' }),
    activity,
    hidden,
  };
}

/** Table or index -> the buffer that undoes it. */
const inverses = [
  ['ropeTable', trainingInputs.inverseRope],
  ['outputRows', trainingInputs.outputOfRow],
] as const;

const ownBuffers = ({ gradient, m, v, average }: TrainedParameter): BufferDecl[] =>
  average === undefined ? [gradient, m, v] : [gradient, m, v, average];

const noSteps = { maxRows: 0, maxOutputs: 0 };

const partsOf = (decl: BufferDecl): number => Math.ceil(elementCount(decl, noSteps) / partSize);

const partCount = (parameters: readonly TrainedParameter[]): number =>
  parameters.reduce((sum, { gradient }) => sum + partsOf(gradient), 0);

/** The activation of an FFN, also where it is computed again; not the ReLU behind a norm. */
function isFfnActivation({ kind, attributes, operands }: Op): boolean {
  const isRelu = kind === 'activate' && attributes.kind === activationCodes.relu;
  return isRelu && /^(down|gated|upActivated)\.\d/.test(operands.out ?? '');
}

function trainedParameters(buffers: readonly BufferDecl[], options: TrainingStepOptions): TrainedParameter[] {
  const found = buffers.filter(isParameter).flatMap((parameter): TrainedParameter[] => {
    const group = options.groups.find(({ match }) => match(parameter));
    if (group === undefined || group.rate === 0) return [];
    const beside = (role: string): BufferDecl => ({ ...parameter, name: `${parameter.name}.${role}` });
    const average = options.average && { average: beside('average') };
    return [{ parameter, gradient: beside('gradient'), m: beside('m'), v: beside('v'), group, ...(average || {}) }];
  });
  if (found.length === 0)
    throw new RelufyError('option', 'training: expected parameters to train, got groups that match none.');
  return found;
}

/** Weights are state where they are trained; the only other state is the KV cache. */
export function isParameter({ kind, name }: BufferDecl): boolean {
  return kind === 'state' && name !== 'kCache' && name !== 'vCache';
}

function declareInputs(spec: ModelSpec, { contextLength, teacherTokens = 0 }: TrainingStepOptions): BufferDecl[] {
  const input = (name: string, dtype: DType, shape: readonly Dim[]): BufferDecl => ({
    name,
    kind: 'input',
    dtype,
    shape,
  });
  const { positions } = spec;
  return [
    input(trainingInputs.weights, 'f32', ['outputs']),
    input(trainingInputs.outputOfRow, 'i32', ['rows']),
    input(trainingInputs.schedule, 'f32', [Object.keys(scheduleFields).length]),
    input(trainingInputs.penalty, 'f32', [1]),
    ...(positions.kind === 'rope'
      ? [input(trainingInputs.inverseRope, 'f32', [contextLength, positions.rotaryDim])]
      : []),
    ...(teacherTokens > 0
      ? [
          input(trainingInputs.teacherIds, 'i32', ['outputs', teacherTokens]),
          input(trainingInputs.teacherLogprobs, 'f32', ['outputs', teacherTokens]),
          input(trainingInputs.teacherWeights, 'f32', ['outputs']),
        ]
      : []),
  ];
}
