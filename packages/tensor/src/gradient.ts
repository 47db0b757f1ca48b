// Gradients: appends to a program the ops that compute the gradient of a scalar with respect to its parameters. One rule
// an op; a rule reads the forward op and appends backward ops of the same vocabulary (op-table.ts, training-ops.ts).
// Does not own what those ops compute (reference/), losses and optimisers (whoever builds a training step), or memory:
// activations that backward ops read simply live longer, and planning sees that.
import { activationCodes } from './activations.js';
import type { BufferDecl } from './buffer.js';
import { RelufyError } from './errors.js';
import type { OpKind } from './op-table.js';
import { type Op, type ProgramBuilder, savedName } from './program.js';

export interface GradientOptions {
  /** Value -> the buffer that holds its gradient already: where the backward pass begins. */
  readonly seeds: ReadonlyMap<string, string>;
  /** The first op that is not differentiated: where the seeds were computed. Default: none. */
  readonly to?: number;
  /** Trained buffer -> what its gradient is added to: the same shape and layout, and it outlives the step. */
  readonly parameters: ReadonlyMap<string, BufferDecl>;
  /**
   * Index or table -> its inverse: of a rotary table the one with negated sines, of the rows that a gather picks the
   * place of each row among them (-1: not picked).
   */
  readonly inverses?: ReadonlyMap<string, BufferDecl>;
  /** How far below its threshold an activation of this op counts as rising (HeLU). */
  readonly slack?: (op: Op) => number;
  /** Values with a loss term of their own: appended when all other gradients of the value are known. */
  readonly terms?: ReadonlyMap<string, (tape: GradientTape, value: string) => void>;
  /** Ops [from, to) whose activations are computed again before their gradients, not kept. */
  readonly recomputed?: readonly (readonly [from: number, to: number])[];
}

/** What the rules write on: the gradients known so far, by value. */
export class GradientTape {
  readonly builder: ProgramBuilder;
  readonly #options: GradientOptions;
  readonly #gradients: Map<string, string>;
  #count = 0;

  constructor(builder: ProgramBuilder, options: GradientOptions) {
    this.builder = builder;
    this.#options = options;
    this.#gradients = new Map(options.seeds);
  }

  /** The buffer with the gradient of a value; undefined while nothing has been added. */
  of(value: string): string | undefined {
    return this.#gradients.get(value);
  }

  /** Adds to the gradient of a value: `append` is given what there is and where the sum belongs. */
  add(value: string, append: (residual: string | undefined, out: string) => void): void {
    const residual = this.of(value);
    const out = this.activation(`gradient.${value}`, value);
    append(residual, out);
    this.#gradients.set(value, out);
  }

  /** Adds a gradient as it is. */
  pass(value: string, gradient: string): void {
    if (this.of(value) === undefined) {
      this.#gradients.set(value, gradient);
      return;
    }
    const linear = { kind: activationCodes.scale, threshold: 1, slack: 0 };
    this.add(value, (residual, out) =>
      this.builder.op('activateBackward', { x: gradient, dy: gradient, residual, out }, linear),
    );
  }

  /** The value is overwritten by the op at hand: what comes before has this gradient instead. */
  replace(value: string, append: (out: string) => void): void {
    const out = this.activation(`gradient.${value}`, value);
    append(out);
    this.#gradients.set(value, out);
  }

  /** A new activation of the shape of another. */
  activation(name: string, like: string, columns?: number): string {
    const { shape } = this.builder.declaration(like);
    return this.builder.activation(
      `${name}#${this.#count++}`,
      columns === undefined ? shape : [shape[0] as (typeof shape)[number], columns],
    );
  }

  /** What a parameter's gradient is added to; undefined where it is not trained. */
  parameter(value: string | undefined): string | undefined {
    const found = value === undefined ? undefined : this.#options.parameters.get(value);
    return found && this.builder.use(found);
  }

  inverse(value: string): string {
    const found = this.#options.inverses?.get(value);
    if (found === undefined) throw new Error(`internal: no inverse of "${value}"`);
    return this.builder.use(found);
  }

  slack(op: Op): number {
    return this.#options.slack?.(op) ?? 0;
  }
}

/**
 * Appends the backward pass of the ops so far, or of those before `to`, in reverse. Gradients of parameters are added to
 * their buffers.
 * @throws RelufyError `program` for an op that has no gradient: a step, the choice of the largest, sparse products.
 */
export function appendGradients(builder: ProgramBuilder, options: GradientOptions): GradientTape {
  const tape = new GradientTape(builder, options);
  const forward = builder.ops.slice(0, options.to);
  const replayed = new Map<number, Op>();
  for (let index = forward.length - 1; index >= 0; index--) {
    const segment = options.recomputed?.find(([, to]) => to === index + 1);
    if (segment) for (const [at, op] of replay(builder, forward, segment, options.seeds.keys())) replayed.set(at, op);
    const original = forward[index] as Op;
    const op = replayed.get(index) ?? original;
    options.terms?.get(original.operands.out ?? '')?.(tape, op.operands.out as string);
    const rule = rules[op.kind];
    if (rule === undefined) throw withoutGradient(op.kind);
    rule(op, tape, forward);
  }
  return tape;
}

/**
 * Appends the ops of a segment again, on activations of their own, so that the first ones need not be kept. What is
 * read after the segment keeps its name and is not computed again. Gives each op as the rules must see it.
 */
function replay(
  builder: ProgramBuilder,
  forward: readonly Op[],
  [from, to]: readonly [number, number],
  results: Iterable<string>,
): [number, Op][] {
  const outside = new Set([...results, ...forward.slice(to).flatMap(({ operands }) => Object.values(operands))]);
  const names = new Map<string, string>();
  return forward.slice(from, to).map((op, index): [number, Op] => {
    const operands: Record<string, string> = {};
    let kept = op.kind === 'storeKv';
    for (const [operand, name] of Object.entries(op.operands)) {
      const isOutput = operand === 'out' || operand === 'active' || operand === 'activeCount';
      if (isOutput && outside.has(name)) kept = true;
      else if (isOutput && !names.has(name)) {
        const { shape, dtype } = builder.declaration(name);
        const overwritten = op.kind === 'activate' && name === savedName(op.operands.x as string);
        const again = overwritten ? savedName(`${op.operands.x}.again`) : `${name}.again`;
        names.set(name, builder.activation(again, shape, dtype));
      }
      operands[operand] = names.get(name) ?? name;
    }
    const again = { ...op, operands };
    if (!kept) builder.append(again);
    return [from + index, again];
  });
}

const withoutGradient = (what: string): RelufyError =>
  new RelufyError(
    'program',
    `gradient: expected ops that have one, got ${what}, which has no gradient. Train without it.`,
  );

type Rule = (op: Op, tape: GradientTape, forward: readonly Op[]) => void;

const number = (op: Op, attribute: string): number => op.attributes[attribute] as number;

/** A norm of `heads` runs of each row. */
function normRule(op: Op, tape: GradientTape, x: string, dy: string, heads: number, headDim: number): void {
  const { weight, bias } = op.operands;
  const centred = op.kind === 'layerNorm' || op.attributes.centred === 1 ? 1 : 0;
  const stats = tape.activation(`stats.${op.operands.out ?? x}`, x, 2 * heads);
  const append = (residual: string | undefined, out: string) =>
    tape.builder.op(
      'normBackward',
      { x, weight, dy, residual, out, stats },
      { heads, headDim, centred, eps: number(op, 'eps') },
    );
  if (op.kind === 'headNorm') tape.replace(op.operands.x as string, (out) => append(undefined, out));
  else tape.add(x, append);
  const [weightGradient, biasGradient] = [tape.parameter(weight), tape.parameter(bias)];
  if (weightGradient === undefined && biasGradient === undefined) return;
  const operands = { x, dy, stats, weight: weightGradient, bias: biasGradient };
  tape.builder.op('normGradient', operands, { heads, headDim });
}

const wholeNorm: Rule = (op, tape) => {
  const { x, out } = op.operands as { x: string; out: string };
  const dy = tape.of(out);
  if (dy === undefined) return;
  normRule(op, tape, x, dy, 1, tape.builder.declaration(x).shape[1] as number);
};

const rules: Partial<Record<OpKind, Rule>> = {
  gather: (op, tape) => {
    const { index, table, residual, out } = op.operands as Record<'index' | 'table' | 'out', string> & {
      residual?: string;
    };
    const dy = tape.of(out);
    if (dy === undefined) return;
    if (residual !== undefined) tape.pass(residual, dy);
    const gradient = tape.parameter(table);
    if (gradient !== undefined) tape.builder.op('scatterAdd', { index, x: dy, table: gradient });
    else if (tape.builder.declaration(table).kind === 'activation')
      tape.replace(table, (placed) => tape.builder.op('place', { from: tape.inverse(index), x: dy, out: placed }));
  },
  linear: (op, tape) => {
    const { x, w, bias, residual, out } = op.operands as Record<'x' | 'w' | 'out', string> & {
      bias?: string;
      residual?: string;
    };
    const dy = tape.of(out);
    if (dy === undefined) return;
    if (residual !== undefined) tape.pass(residual, dy);
    const gradient = tape.parameter(w);
    if (gradient !== undefined) tape.builder.op('linearGradient', { x, dy, w: gradient, bias: tape.parameter(bias) });
    tape.add(x, (kept, sum) => tape.builder.op('linearBackward', { dy, w, residual: kept, out: sum }));
  },
  rmsNorm: wholeNorm,
  layerNorm: wholeNorm,
  headNorm: (op, tape) => {
    const x = op.operands.x as string;
    const dy = tape.of(x);
    if (dy === undefined) return;
    normRule(op, tape, savedName(x), dy, number(op, 'heads'), number(op, 'headDim'));
  },
  activate: (op, tape) => {
    const { x, out, thresholds, strength } = op.operands as Record<'x' | 'out', string> & {
      thresholds?: string;
      strength?: string;
    };
    const dy = tape.of(out);
    if (dy === undefined || out === savedName(x)) return;
    const kind = number(op, 'kind');
    if (kind === activationCodes.step) throw withoutGradient('activate by step');
    const attributes = { kind, threshold: number(op, 'threshold'), slack: tape.slack(op) };
    tape.add(x, (residual, sum) =>
      tape.builder.op('activateBackward', { x, dy, residual, thresholds, strength, out: sum }, attributes),
    );
  },
  multiply: (op, tape) => {
    const { a, b, residual, out } = op.operands as Record<'a' | 'b' | 'out', string> & { residual?: string };
    const dy = tape.of(out);
    if (dy === undefined) return;
    if (residual !== undefined) tape.pass(residual, dy);
    for (const [value, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const product = tape.activation(`gradient.${value}`, value);
      tape.builder.op('multiply', { a: dy, b: other, out: product });
      tape.pass(value, product);
    }
  },
  rope: (op, tape) => {
    const { x, positions, table } = op.operands as { x: string; positions: string; table: string };
    const dy = tape.of(x);
    // in place, as the forward op: the gradient of a rotated row belongs to this op alone
    if (dy !== undefined) tape.builder.op('rope', { x: dy, positions, table: tape.inverse(table) }, op.attributes);
  },
  // straight through: rounding has no slope of its own
  roundRow: (op, tape) => {
    const dy = tape.of(op.operands.out as string);
    if (dy !== undefined) tape.pass(op.operands.x as string, dy);
  },
  tokenShift: (op, tape) => {
    const { x, positions, slots, out } = op.operands as Record<'x' | 'positions' | 'slots' | 'out', string>;
    const dy = tape.of(out);
    if (dy === undefined) return;
    tape.add(x, (residual, sum) => tape.builder.op('tokenShiftBackward', { dy, positions, slots, residual, out: sum }));
  },
  mix: (op, tape) => {
    const { a, b, weight, out } = op.operands as Record<'a' | 'b' | 'weight' | 'out', string>;
    const dy = tape.of(out);
    if (dy === undefined) return;
    const gradient = tape.parameter(weight);
    if (gradient !== undefined) tape.builder.op('mixGradient', { dy, a, b, weight: gradient });
    for (const [part, value] of [a, b].entries())
      tape.add(value, (residual, sum) => tape.builder.op('mixBackward', { dy, weight, residual, out: sum }, { part }));
  },
  wkv: (op, tape) => {
    const {
      state: _,
      out,
      ...read
    } = op.operands as Record<'k' | 'v' | 'decay' | 'first' | 'positions' | 'slots' | 'state' | 'out', string>;
    const dy = tape.of(out);
    if (dy === undefined) return;
    const { k, v, decay, first } = read;
    const states = tape.activation(`states.${out}`, k, 3 * (tape.builder.declaration(k).shape[1] as number));
    const [dk, dv] = [tape.activation(`gradient.${k}`, k), tape.activation(`gradient.${v}`, v)];
    const gradients = { decayGradient: tape.parameter(decay), firstGradient: tape.parameter(first) };
    tape.builder.op('wkvBackward', { ...read, dy, states, dk, dv, ...gradients });
    tape.pass(k, dk);
    tape.pass(v, dv);
  },
  crossEntropy: () => {}, // it has turned the logits into their gradient
  storeKv: () => {}, // attention's rule gives the gradients of what was stored
  attention: (op, tape, forward) => {
    const { out, ...read } = op.operands as Record<'x' | 'positions' | 'slots' | 'k' | 'v' | 'out', string> & {
      keyBias?: string;
    };
    const dy = tape.of(out);
    if (dy === undefined) return;
    const layer = number(op, 'layer');
    const store = forward.find(({ kind, attributes }) => kind === 'storeKv' && attributes.layer === layer);
    if (store === undefined) throw new Error('internal: attention without storeKv has no gradient');
    const { x, positions, slots, keyBias, k } = read;
    const heads = number(op, 'heads');
    const [, , kvHeads, , headDim] = tape.builder.declaration(k).shape as readonly number[];
    const stats = tape.activation(`stats.${out}`, out, 2 * heads);
    tape.replace(x, (gradient) => {
      tape.builder.op('attentionBackwardQuery', { ...read, dy, out: gradient, stats }, op.attributes);
      tape.builder.op(
        'attentionBackwardKeyValue',
        { x, positions, slots, keyBias, dy, stats, out: gradient },
        {
          heads,
          kvHeads: kvHeads as number,
          headDim: headDim as number,
          window: number(op, 'window'),
          scale: number(op, 'scale'),
          firstKey: number(store, 'firstKey'),
          firstValue: number(store, 'firstValue'),
        },
      );
    });
  },
};
