// What a program is trained to make small: ops that turn its output into the gradient of a loss, and the loss as a number.
// Composed of ops that every backend has. Does not own the program before it, nor the gradients after it.
import {
  activationCodes,
  type BufferDecl,
  type BufferView,
  type MaybePromise,
  type ProgramBuilder,
  type Step,
} from '@relufy/tensor';

/** What a teacher says of each output, [outputs, tokens], likeliest first; and what a divergence from it counts. */
export interface TeacherInputs {
  readonly ids: BufferDecl;
  readonly logprobs: BufferDecl;
  /** f32 [outputs]. */
  readonly weight: BufferDecl;
}

export type LossOptions =
  /** -log softmax(logits)[target], and the divergence from a teacher. Turns the logits into their gradient. */
  | {
      readonly kind: 'crossEntropy';
      /** f32 [count, classes]. */
      readonly output: string;
      /** i32 [count]. */
      readonly target: BufferDecl;
      /** f32 [count]. */
      readonly weight: BufferDecl;
      readonly teacher?: TeacherInputs;
    }
  /**
   * Of every number of the output by itself. `squaredError`: (output - target)^2 / 2. `binaryCrossEntropy`: the output is
   * a logit, the target a probability.
   */
  | {
      readonly kind: 'squaredError' | 'binaryCrossEntropy';
      /** f32 [count, width]. */
      readonly output: string;
      /** f32 [count, width]. */
      readonly target: BufferDecl;
      /** f32 [count, width]: what each number counts. */
      readonly weight: BufferDecl;
    };

/** Sums over a step: of weight times loss, and of weight times divergence from the teacher. */
export interface LossValue {
  readonly loss: number;
  readonly divergence: number;
}

/** How the host finds what a step has left: buffers of the session by one, kept activations by the other. */
export interface LossViews {
  readonly buffer: (name: string) => MaybePromise<BufferView>;
  readonly kept: (name: string) => MaybePromise<BufferView>;
}

export interface AppendedLoss {
  /** Where gradients begin: the output, and the activation that holds its gradient. */
  readonly seeds: ReadonlyMap<string, string>;
  /** The first op of the loss: what is before it is differentiated. */
  readonly from: number;
  value(views: LossViews, step: Step): Promise<LossValue>;
}

/** Appends a loss to a program. What `value` reads is kept. */
export function appendLoss(builder: ProgramBuilder, options: LossOptions): AppendedLoss {
  const from = builder.ops.length;
  const [count = 1, ...widths] = builder.declaration(options.output).shape;
  const rowsOf = (step: Step): number => (typeof count === 'number' ? count : step[count]);
  if (options.kind === 'crossEntropy') {
    const { output, target, weight, teacher } = options;
    const loss = builder.activation('loss', [count]);
    const taught = teacher && {
      teacherIds: builder.use(teacher.ids),
      teacherLogprobs: builder.use(teacher.logprobs),
      teacherWeight: builder.use(teacher.weight),
      divergence: builder.activation('divergence', [count]),
    };
    const operands = { logits: output, target: builder.use(target), weight: builder.use(weight), loss };
    builder.op('crossEntropy', { ...operands, ...taught });
    builder.keep(loss);
    if (taught) builder.keep(taught.divergence);
    return {
      seeds: new Map([[output, output]]),
      from,
      value: async ({ buffer, kept }, step) => {
        const sum = async (values: string, weights: string) =>
          weightedSum(await kept(values), await buffer(weights), rowsOf(step));
        const divergence = taught === undefined ? 0 : await sum(taught.divergence, taught.teacherWeight);
        return { loss: await sum(loss, weight.name), divergence };
      },
    };
  }
  const { kind, output } = options;
  const [target, weight] = [builder.use(options.target), builder.use(options.weight)];
  const like = (name: string) => builder.activation(name, builder.declaration(output).shape);
  const guess = kind === 'squaredError' ? output : appendSigmoid(builder, output, like);
  const [difference, gradient] = [like('loss.difference'), like('loss.gradient')];
  // guess - target: the gradient of either loss
  const minus = { kind: activationCodes.scale, threshold: -1, slack: 0 };
  builder.op('activateBackward', { x: target, dy: target, residual: guess, out: difference }, minus);
  builder.op('multiply', { a: difference, b: weight, out: gradient });
  builder.keep(output);
  const each = kind === 'squaredError' ? squaredError : binaryCrossEntropy;
  return {
    seeds: new Map([[output, gradient]]),
    from,
    value: async ({ buffer, kept }, step) => {
      const [outputs, targets, weights] = [await kept(output), await buffer(target), await buffer(weight)];
      const numbers = rowsOf(step) * widths.reduce<number>((product, width) => product * (width as number), 1);
      let loss = 0;
      for (let i = 0; i < numbers; i++)
        loss += (weights[i] as number) * each(outputs[i] as number, targets[i] as number);
      return { loss, divergence: 0 };
    },
  };
}

const squaredError = (output: number, target: number): number => (output - target) ** 2 / 2;

/** log(1 + e^x) - target x, for logits of any size. */
const binaryCrossEntropy = (logit: number, target: number): number =>
  Math.max(logit, 0) - target * logit + Math.log1p(Math.exp(-Math.abs(logit)));

/** 1 / (1 + e^-x) = tanh(x / 2) / 2 + 1/2: a softcap at 1/2 of x / 4, and a ReLU that is shifted by as much. */
function appendSigmoid(builder: ProgramBuilder, x: string, like: (name: string) => string): string {
  const { scale, softcap, relu } = activationCodes;
  let at = x;
  for (const [kind, threshold] of [
    [scale, 0.25],
    [softcap, 0.5],
    [relu, -0.5],
  ] as const) {
    const out = like(`loss.sigmoid.${kind}`);
    builder.op('activate', { x: at, out }, { kind, threshold });
    at = out;
  }
  return at;
}

function weightedSum(values: BufferView, weights: BufferView, count: number): number {
  let total = 0;
  for (let i = 0; i < count; i++) total += (weights[i] as number) * (values[i] as number);
  return total;
}
