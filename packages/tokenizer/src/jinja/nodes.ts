// The parts of a parsed template.
import type { Value } from './values.js';

export interface Call {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** `*list` and `**mapping`. */
  readonly list?: Expression | undefined;
  readonly mapping?: Expression | undefined;
}

export type Expression =
  | { readonly kind: 'const'; readonly value: Value }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly of: Expression; readonly key: Expression }
  | { readonly kind: 'slice'; readonly of: Expression; readonly bounds: readonly (Expression | undefined)[] }
  | { readonly kind: 'list' | 'tuple' | 'concat'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly pairs: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'call'; readonly callee: Expression; readonly args: Call }
  /** Without `of`: what a block gives. */
  | { readonly kind: 'filter'; readonly of?: Expression | undefined; readonly name: string; readonly args: Call }
  | { readonly kind: 'test'; readonly of: Expression; readonly name: string; readonly args: Call }
  | { readonly kind: 'not'; readonly of: Expression }
  | { readonly kind: 'sign'; readonly operator: string; readonly of: Expression }
  | {
      readonly kind: 'binary' | 'and' | 'or';
      readonly operator: string;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'compare'; readonly first: Expression; readonly rest: readonly (readonly [string, Expression])[] }
  | {
      readonly kind: 'if';
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression | undefined;
    };

export type Filtering = Extract<Expression, { readonly kind: 'filter' }>;

export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'attribute'; readonly of: string; readonly name: string }
  | { readonly kind: 'tuple'; readonly items: readonly Target[] };

/** The parameters and body of a macro, or of the block of a `call`. */
export interface Procedure {
  readonly name: string;
  readonly parameters: readonly string[];
  /** For the last of the parameters. */
  readonly defaults: readonly Expression[];
  readonly body: readonly Statement[];
  /** Which of `caller`, `varargs` and `kwargs` the body reads, and so takes. */
  readonly takes: ReadonlySet<string>;
}

export type Statement =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly value: Expression }
  | {
      readonly kind: 'if';
      readonly branches: readonly (readonly [Expression, readonly Statement[]])[];
      readonly otherwise: readonly Statement[];
    }
  | {
      readonly kind: 'for';
      readonly target: Target;
      readonly over: Expression;
      readonly test: Expression | undefined;
      readonly recursive: boolean;
      readonly body: readonly Statement[];
      readonly otherwise: readonly Statement[];
    }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: 'setBlock';
      readonly target: Target;
      readonly filter: Filtering | undefined;
      readonly body: readonly Statement[];
    }
  | { readonly kind: 'macro'; readonly procedure: Procedure }
  | {
      readonly kind: 'call';
      readonly call: Extract<Expression, { readonly kind: 'call' }>;
      readonly procedure: Procedure;
    }
  | { readonly kind: 'filterBlock'; readonly filter: Filtering; readonly body: readonly Statement[] }
  | {
      readonly kind: 'scope';
      readonly assignments: readonly (readonly [Target, Expression])[];
      readonly body: readonly Statement[];
    }
  | { readonly kind: 'break' | 'continue' };
