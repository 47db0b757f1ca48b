// A decoder's training step as one flat program: its forward pass, the loss, and what a trained program adds. Owns which
// inputs there are, the L1 term and HeLU of its FFNs, and what is counted of their activity. Does not own the decoder
// (@relufy/models), losses, optimisers or the session (loss.ts, optimizer.ts, program-trainer.ts), nor data.
import { buildDecoder, type DecoderProgram, ffnActivation, type ModelSpec } from '@relufy/models';
import {
  activationCodes,
  type BufferDecl,
  type Dim,
  type DType,
  type GradientTape,
  type Op,
  type StepLimits,
} from '@relufy/tensor';
import type { RisingMask } from './config.js';
import { appendLoss } from './loss.js';
import type { OptimizerOptions } from './optimizer.js';
import { buildTrainedProgram, type TiedRows, type TrainedProgram } from './program-trainer.js';
import { type MaskedActivation, maskedActivations, thresholdState } from './rising-thresholds.js';

export interface TrainingStepOptions extends OptimizerOptions {
  /** Tokens, and scored tokens, of one part of a batch. */
  readonly limits: StepLimits;
  /** Sequences of one part of a batch, and how long one may be. */
  readonly slots: number;
  readonly contextLength: number;
  /** Tokens of the teacher's distribution that are given a position; 0: no distillation. */
  readonly teacherTokens?: number;
  /** An L1 term on what enters each `down` (ProSparse). Its norm and density are counted with or without it. */
  readonly l1?: boolean;
  /** Masks of the spec whose thresholds rise (rising-thresholds.ts). */
  readonly masks?: readonly RisingMask[];
  /** How far below its threshold a ReLU of the FFN passes gradients (HeLU). */
  readonly heluAlpha?: number;
  /** Compute each layer's activations again for its gradients, to save memory. */
  readonly gradientCheckpointing?: boolean;
}

export interface TrainingStep extends TrainedProgram {
  /** Log-probabilities of targets, for evaluation. */
  readonly evaluation: DecoderProgram;
  /** What enters `down`, per layer: kept sums of |h| and numbers of h != 0, both [rows]. */
  readonly activity: readonly { readonly norm: string; readonly activeCount: string }[];
  /** Where masks with rising thresholds stand. */
  readonly masked: readonly MaskedActivation[];
  /** Buffers beside the parameters that change from step to step. */
  readonly state: readonly BufferDecl[];
  /** What enters each layer, kept so that numbers that are not finite can be traced. */
  readonly hidden: readonly string[];
}

/** Buffers that the host fills besides the decoder's inputs. */
export const trainingInputs = {
  /** f32 [outputs]: what a target's cross-entropy counts. */
  weights: 'targetWeights',
  /** i32 [rows]: the output that a row is, or -1. */
  outputOfRow: 'outputOfRow',
  /** f32 [1]: the L1 term's lambda / (numbers it is a mean over). */
  l1: 'l1Coefficient',
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
  const { limits, slots, contextLength, masks = [] } = options;
  const decoder = buildDecoder(spec, { limits, slots, contextLength, matrixDType: () => 'f32', trained: true });
  const inputs = declareInputs(spec, options);
  const means = thresholdState(spec, masks);
  const { builder, taps, logits, layers } = decoder.forward('training step');
  const masked = maskedActivations(spec, builder.ops, masks);
  const known = new Map([...decoder.buffers, ...inputs].map((decl) => [decl.name, decl]));
  const declared = (name: string) => known.get(name) as BufferDecl;

  const loss = appendLoss(builder, {
    kind: 'crossEntropy',
    output: logits,
    target: declared('targets'),
    weight: declared(trainingInputs.weights),
    ...(hasTeacher(options) && {
      teacher: {
        ids: declared(trainingInputs.teacherIds),
        logprobs: declared(trainingInputs.teacherLogprobs),
        weight: declared(trainingInputs.teacherWeights),
      },
    }),
  });

  const coefficients = builder.use(declared(trainingInputs.l1));
  const activity = layers.map((_, layer) => ({
    norm: builder.activation(`norm.${layer}`, ['rows']),
    activeCount: builder.activation(`activeCount.${layer}`, ['rows'], 'i32'),
  }));
  const terms = activity.map((counts, layer): [string, (tape: GradientTape, x: string) => void] => [
    taps.get(`down.${layer}`) as string,
    (tape, x) => {
      const append = (residual?: string, out?: string) =>
        builder.op('penalty', { x, coefficients, residual, out, ...counts }, { index: 0 });
      if (options.l1) tape.add(x, append);
      else append();
    },
  ]);
  const hidden = [...taps].flatMap(([tap, activation]) => (tap.startsWith('hidden.') ? [activation] : []));
  const counts = activity.flatMap(({ norm, activeCount }) => [norm, activeCount]);
  const compared = masked.flatMap(({ x, up }) => (up ? [x, up.x] : [x]));
  for (const kept of [...counts, ...hidden, ...compared]) builder.keep(kept);

  const trained = buildTrainedProgram({
    builder,
    buffers: [...decoder.buffers, ...inputs, ...means],
    trainable: decoder.parameters,
    loss,
    optimizer: options,
    tied: tiedHeads(spec),
    gradients: {
      inverses: new Map(inverses.flatMap(([of, inverse]) => (known.has(inverse) ? [[of, declared(inverse)]] : []))),
      slack: (op) => (isFfnRelu(op) ? (options.heluAlpha ?? 0) : 0),
      terms: new Map(terms),
      recomputed: options.gradientCheckpointing ? layers : [],
    },
  });
  const state = [...new Set(masked.map(({ threshold }) => declared(threshold))), ...means];
  const evaluation = decoder.build({ sparsity: 'dense', head: 'logprobs' });
  return { ...trained, evaluation, activity, masked, state, hidden };
}

/** Vectors that norms of heads share: the buffers repeat them, a row a head, queries before keys. */
function tiedHeads(spec: ModelSpec): TiedRows {
  const { mixer, numHiddenLayers } = spec;
  if (mixer.kind !== 'attention' || mixer.headNorm === undefined || mixer.headNorm.perHead) return new Map();
  const { numAttentionHeads: queries, numKeyValueHeads: keys } = mixer;
  const groups = [
    [0, queries],
    [queries, queries + keys],
  ] as const;
  return new Map(
    Array.from({ length: numHiddenLayers }, (_, layer) => layer).flatMap((layer) =>
      ['weight', 'bias'].map((part) => [`layers.${layer}.headNorm.${part}`, groups]),
    ),
  );
}

/** Table or index -> the buffer that undoes it. */
const inverses = [
  ['ropeTable', trainingInputs.inverseRope],
  ['outputRows', trainingInputs.outputOfRow],
] as const;

/** The ReLU of an FFN, also where it is computed again; not the one after a norm. */
const isFfnRelu = ({ tag, attributes }: Op): boolean =>
  attributes.kind === activationCodes.relu && tag?.startsWith(`${ffnActivation}.`) === true;

const hasTeacher = ({ teacherTokens = 0 }: TrainingStepOptions): boolean => teacherTokens > 0;

function declareInputs(spec: ModelSpec, options: TrainingStepOptions): BufferDecl[] {
  const { contextLength, teacherTokens = 0 } = options;
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
    input(trainingInputs.l1, 'f32', [1]),
    ...(positions.kind === 'rope'
      ? [input(trainingInputs.inverseRope, 'f32', [contextLength, positions.rotaryDim])]
      : []),
    ...(hasTeacher(options)
      ? [
          input(trainingInputs.teacherIds, 'i32', ['outputs', teacherTokens]),
          input(trainingInputs.teacherLogprobs, 'f32', ['outputs', teacherTokens]),
          input(trainingInputs.teacherWeights, 'f32', ['outputs']),
        ]
      : []),
  ];
}
