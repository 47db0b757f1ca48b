// Cases whose first number is not finite: made of the largest case of each op, format and activation.
// A kernel that swallows such a number (a maximum that NaN loses, a comparison that it fails, integers that cannot hold
// it) would turn a step that went wrong into fluent nonsense. Does not own what a session does about it.
import { isMaskCode } from '../index.js';
import type { CaseBuffer, Fill, OpCase } from './case.js';

/** The operand that takes the number, and a result whose first row then has to show it. */
const ways: Readonly<Record<string, readonly [operand: string, result: string]>> = {
  rmsNorm: ['x', 'out'],
  layerNorm: ['x', 'out'],
  headNorm: ['x', 'x'],
  activate: ['x', 'out'],
  multiply: ['a', 'out'],
  mix: ['a', 'out'],
  wkv: ['v', 'out'],
  roundRow: ['x', 'out'],
  quantize: ['x', 'xScales'],
  linear: ['x', 'out'],
  gemvRows: ['x', 'out'],
  axpyRows: ['x', 'out'],
  rope: ['x', 'x'],
  attention: ['x', 'out'],
  logProb: ['logits', 'logprob'],
};

export interface StrayCase extends OpCase {
  /** Where it has to show. */
  readonly shows: string;
}

export function strayCases(cases: readonly OpCase[]): StrayCase[] {
  const largest = new Map<string, OpCase>();
  // a mask leaves out what it is told to, a step says only whether
  for (const one of cases)
    if (one.op in ways && !(one.op === 'activate' && isMaskCode(one.attributes.kind as number)))
      largest.set(
        [one.op, one.operands.w?.decl.dtype, one.operands.w?.decl.transposed, one.attributes.kind].join(),
        one,
      );
  return [...largest.values()].flatMap((one) =>
    [Number.NaN, Number.POSITIVE_INFINITY]
      // a cap, or a sigmoid, bounds what has left f32 as it bounds what is large
      .filter((value) => Number.isNaN(value) || !/softcap|sigmoid/.test(one.name))
      .map((value) => withStray(one, value)),
  );
}

function withStray(one: OpCase, value: number): StrayCase {
  const [operand, shows] = ways[one.op] as readonly [string, string];
  const changed = new Map<CaseBuffer, CaseBuffer>();
  const change = (buffer: CaseBuffer): CaseBuffer => {
    const known = changed.get(buffer) ?? { ...buffer, fill: { kind: 'stray', value, fill: buffer.fill } };
    changed.set(buffer, known);
    return known;
  };
  const follow = (fill: Fill): Fill =>
    fill.kind === 'quantizedOf'
      ? { ...fill, source: change(fill.source) }
      : (fill.kind === 'indicesOf' || fill.kind === 'countsOf') && fill.mask === one.operands[operand]
        ? { ...fill, mask: change(fill.mask) }
        : fill;
  const operands = Object.entries(one.operands).map(([name, buffer]): [string, CaseBuffer] => {
    const followed = { ...buffer, fill: follow(buffer.fill) };
    return [name, name === operand && buffer.decl.dtype === 'f32' ? change(buffer) : followed];
  });
  return {
    ...one,
    name: `${one.name}, ${value} first`,
    operands: Object.fromEntries(operands),
    results: [shows],
    shows,
  };
}
