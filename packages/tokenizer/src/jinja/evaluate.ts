// What an expression of a template is worth. Statements and macros are render.ts; operators are operators.ts.
import { bind } from './arguments.js';
import { Lookups, type Rules } from './attributes.js';
import { charge, enter, leave, scan, step } from './budget.js';
import type { Filters, Runtime } from './filter-types.js';
import type { Call, Expression, Filtering } from './nodes.js';
import { compare, negate, operate } from './operators.js';
import { str } from './repr.js';
import type { Scope } from './scope.js';
import { applyTest } from './tests.js';
import {
  type Arguments,
  Dict,
  iterate,
  PythonError,
  PythonObject,
  Tuple,
  textOf,
  truth,
  typeName,
  Undefined,
  type Value,
} from './values.js';

export class Evaluator implements Runtime {
  readonly lookups: Lookups;

  constructor(
    readonly filters: Filters,
    readonly rules: Rules,
  ) {
    this.lookups = new Lookups(rules);
  }

  evaluate(node: Expression, scope: Scope): Value {
    step();
    switch (node.kind) {
      case 'const':
        return node.value;
      case 'name':
        return scope.get(node.name) ?? new Undefined(`'${node.name}' is undefined`, this.rules.strict);
      default:
        enter();
        try {
          return this.#compound(node, scope);
        } finally {
          leave();
        }
    }
  }

  #compound(node: Expression, scope: Scope): Value {
    switch (node.kind) {
      case 'attribute':
        return this.lookups.attribute(this.evaluate(node.of, scope), node.name);
      case 'item':
        return this.lookups.item(this.evaluate(node.of, scope), this.evaluate(node.key, scope));
      case 'slice': {
        const of = this.evaluate(node.of, scope);
        return this.lookups.slice(
          of,
          node.bounds.map((bound) => bound && this.evaluate(bound, scope)),
        );
      }
      case 'list':
        charge(node.items.length);
        return node.items.map((item) => this.evaluate(item, scope));
      case 'tuple':
        return new Tuple(node.items.map((item) => this.evaluate(item, scope)));
      case 'dict': {
        const pairs = node.pairs.map(
          ([key, value]) => [this.evaluate(key, scope), this.evaluate(value, scope)] as const,
        );
        charge(pairs.length);
        return Dict.of(pairs);
      }
      case 'concat': {
        const texts = node.items.map((item) => str(this.evaluate(item, scope)));
        return made(texts.join(''));
      }
      case 'call':
        return made(this.call(this.evaluate(node.callee, scope), this.arguments(node.args, scope)));
      case 'filter':
        return this.filtered(node, undefined, scope);
      case 'test':
        return this.test(node.name, this.evaluate(node.of, scope), this.arguments(node.args, scope));
      case 'not':
        return !truth(this.evaluate(node.of, scope));
      case 'sign':
        return negate(node.operator, this.evaluate(node.of, scope));
      case 'binary':
        return operate(node.operator, this.evaluate(node.left, scope), this.evaluate(node.right, scope));
      case 'and':
      case 'or': {
        const left = this.evaluate(node.left, scope);
        return truth(left) === (node.kind === 'and') ? this.evaluate(node.right, scope) : left;
      }
      case 'compare': {
        let left = this.evaluate(node.first, scope);
        for (const [operator, operand] of node.rest) {
          const right = this.evaluate(operand, scope);
          if (!compare(operator, left, right)) return false;
          left = right;
        }
        return true;
      }
      case 'if':
        if (truth(this.evaluate(node.test, scope))) return this.evaluate(node.value, scope);
        if (node.otherwise !== undefined) return this.evaluate(node.otherwise, scope);
        return new Undefined('the condition of an inline if was false and there is no else'); // never a strict one
      default:
        throw new Error(`internal: ${node.kind} is evaluated elsewhere`);
    }
  }

  /** `value | filter`; `block` stands for the operand that the innermost filter of a block does not have. */
  filtered(node: Filtering, block: Value | undefined, scope: Scope): Value {
    const value =
      node.of === undefined
        ? (block as Value)
        : node.of.kind === 'filter'
          ? this.filtered(node.of, block, scope)
          : this.evaluate(node.of, scope);
    step();
    return this.filter(node.name, value, this.arguments(node.args, scope));
  }

  call(callee: Value, args: Arguments): Value {
    if (callee instanceof PythonObject) return callee.call(args);
    throw new PythonError('TypeError', `'${typeName(callee)}' object is not callable`);
  }

  arguments({ positional, named, list, mapping }: Call, scope: Scope): Arguments {
    const values = positional.map((argument) => this.evaluate(argument, scope));
    if (list !== undefined)
      for (const value of iterate(this.evaluate(list, scope))) {
        step();
        values.push(value);
      }
    const keywords = new Map<string, Value>();
    for (const [name, value] of named) keywords.set(name, this.evaluate(value, scope));
    if (mapping !== undefined) {
      const given = this.evaluate(mapping, scope);
      if (!(given instanceof Dict))
        throw new PythonError('TypeError', `argument after ** must be a mapping, not ${typeName(given)}`);
      for (const [key, value] of given.entries.values()) {
        step();
        const name = textOf(key);
        if (name === undefined) throw new PythonError('TypeError', 'keywords must be strings');
        keywords.set(name, value);
      }
    }
    return { positional: values, named: keywords };
  }

  hasFilter(name: string): boolean {
    return Object.hasOwn(this.filters, name);
  }

  filter(name: string, value: Value, args: Arguments): Value {
    const filter = this.hasFilter(name) ? this.filters[name] : undefined;
    looked(value);
    if (filter === undefined) throw new PythonError('TemplateRuntimeError', `No filter named '${name}' found.`);
    if (typeof filter === 'function') return made(filter(value, args, this));
    const [parameters, run] = filter;
    return made(run(value, bind(name, parameters, args), this));
  }

  test(name: string, value: Value, args: Arguments): boolean {
    looked(value);
    return applyTest(name, value, args, (filter) => this.hasFilter(filter));
  }
}

/** Pays for going through a text, by pattern as like as not. */
function looked(value: Value): void {
  const text = textOf(value);
  if (text !== undefined) scan(4 * text.length);
}

/** Pays for a text or list that has come about. */
function made(value: Value): Value {
  const text = textOf(value);
  if (text !== undefined) charge(text.length);
  else if (Array.isArray(value)) charge(value.length);
  return value;
}
