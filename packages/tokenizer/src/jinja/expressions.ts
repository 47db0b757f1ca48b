// Parsing of expressions, by the grammar of jinja2's parser; it differs from Python's in the order of `**`, `~`, filters
// and tests. Statements are statements.ts.
import type { Call, Expression, Target } from './nodes.js';
import { int, parseInteger } from './numbers.js';
import type { Tokens } from './tokens.js';
import { Float, NONE, type Value } from './values.js';

const constants: ReadonlyMap<string, Value> = new Map<string, Value>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', NONE],
  ['None', NONE],
]);
const comparisons = ['==', '!=', '<', '<=', '>', '>='];

export interface TupleRules {
  /** Without `a if b else c`, which would take the `if` of a loop. */
  readonly plain?: boolean;
  /** A name that ends it. */
  readonly until?: string;
  readonly inParentheses?: boolean;
}

export class ExpressionParser {
  constructor(readonly tokens: Tokens) {}

  expression(): Expression {
    return this.tokens.nested(() => this.#conditional());
  }

  /** One expression, or several with commas between them, which are a tuple. */
  tuple(rules: TupleRules = {}): Expression {
    const { tokens } = this;
    const items: Expression[] = [];
    let isTuple = false;
    while (true) {
      if (items.length > 0) tokens.expect('operator', ',');
      if (this.#ends(rules)) break;
      items.push(rules.plain === true ? tokens.nested(() => this.#or()) : this.expression());
      if (!tokens.is('operator', ',')) break;
      isTuple = true;
    }
    if (!isTuple && items.length > 0) return items[0]!;
    if (!isTuple && rules.inParentheses !== true) throw tokens.fail(`expected an expression, got ${tokens.got()}`);
    return { kind: 'tuple', items };
  }

  #ends({ until }: TupleRules): boolean {
    const { tokens } = this;
    return (
      tokens.is('variable_end') ||
      tokens.is('block_end') ||
      tokens.is('operator', ')') ||
      (until !== undefined && tokens.is('name', until))
    );
  }

  /** What `set` and `for` assign to: names, attributes of namespaces, and tuples of them. */
  target(namespaces: boolean, until?: string): Target {
    const { tokens } = this;
    const items: Target[] = [];
    let isTuple = false;
    while (true) {
      if (items.length > 0) tokens.expect('operator', ',');
      if (this.#ends(until === undefined ? {} : { until }) || tokens.is('operator', '=')) break;
      items.push(this.#oneTarget(namespaces));
      if (!tokens.is('operator', ',')) break;
      isTuple = true;
    }
    if (!isTuple && items.length === 1) return items[0]!;
    if (items.length === 0) throw tokens.fail(`expected a name, got ${tokens.got()}`);
    return { kind: 'tuple', items };
  }

  #oneTarget(namespaces: boolean): Target {
    const { tokens } = this;
    if (tokens.take('operator', '(')) {
      const target = tokens.nested(() => this.target(namespaces));
      tokens.expect('operator', ')');
      return target;
    }
    const { value } = tokens.expect('name');
    if (namespaces && tokens.take('operator', '.')) {
      tokens.use(value);
      return { kind: 'attribute', of: value, name: tokens.expect('name').value };
    }
    if (value === 'loop' && tokens.loops > 0) throw tokens.fail('"loop" cannot be assigned to inside a loop');
    if (constants.has(value)) throw tokens.fail(`"${value}" cannot be assigned to`);
    return { kind: 'name', name: value };
  }

  #conditional(): Expression {
    const { tokens } = this;
    let expression = this.#or();
    while (tokens.take('name', 'if')) {
      const test = this.#or();
      const otherwise = tokens.take('name', 'else') ? tokens.nested(() => this.#conditional()) : undefined;
      expression = { kind: 'if', test, value: expression, otherwise };
    }
    return expression;
  }

  #or(): Expression {
    let left = this.#and();
    while (this.tokens.take('name', 'or')) left = { kind: 'or', operator: 'or', left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.tokens.take('name', 'and')) left = { kind: 'and', operator: 'and', left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    if (this.tokens.take('name', 'not')) return { kind: 'not', of: this.tokens.nested(() => this.#not()) };
    return this.#compare();
  }

  #compare(): Expression {
    const { tokens } = this;
    const first = this.#sum();
    const rest: [string, Expression][] = [];
    while (true) {
      if (tokens.is('operator', ...comparisons)) {
        rest.push([tokens.next().value, this.#sum()]);
      } else if (tokens.take('name', 'in')) {
        rest.push(['in', this.#sum()]);
      } else if (tokens.is('name', 'not') && tokens.following.type === 'name' && tokens.following.value === 'in') {
        tokens.next();
        tokens.next();
        rest.push(['not in', this.#sum()]);
      } else {
        return rest.length === 0 ? first : { kind: 'compare', first, rest };
      }
    }
  }

  #sum(): Expression {
    return this.#binary(['+', '-'], () => this.#concat());
  }

  #binary(operators: readonly string[], part: () => Expression): Expression {
    let left = part();
    while (this.tokens.is('operator', ...operators)) {
      const { value: operator } = this.tokens.next();
      left = { kind: 'binary', operator, left, right: part() };
    }
    return left;
  }

  #concat(): Expression {
    const items = [this.#product()];
    while (this.tokens.take('operator', '~')) items.push(this.#product());
    return items.length === 1 ? items[0]! : { kind: 'concat', items };
  }

  #product(): Expression {
    return this.#binary(['*', '/', '//', '%'], () => this.#binary(['**'], () => this.#unary(true)));
  }

  #unary(filters: boolean): Expression {
    const { tokens } = this;
    let node: Expression;
    if (tokens.is('operator', '-', '+')) {
      const { value: operator } = tokens.next();
      node = { kind: 'sign', operator, of: tokens.nested(() => this.#unary(false)) };
    } else {
      node = this.primary();
    }
    node = this.#postfix(node);
    return filters ? this.#filters(node) : node;
  }

  primary(): Expression {
    const { tokens } = this;
    const token = tokens.current;
    switch (token.type) {
      case 'name': {
        tokens.next();
        const value = constants.get(token.value);
        if (value !== undefined) return { kind: 'const', value };
        tokens.use(token.value);
        return { kind: 'name', name: token.value };
      }
      case 'string': {
        let text = '';
        while (tokens.is('string')) text += tokens.next().value;
        return { kind: 'const', value: text };
      }
      case 'integer':
        tokens.next();
        return { kind: 'const', value: parseInteger(token.value, 0) ?? int(0n) };
      case 'float':
        tokens.next();
        return { kind: 'const', value: new Float(Number(token.value)) };
      case 'operator':
        if (tokens.take('operator', '(')) {
          const inner = tokens.nested(() => this.tuple({ inParentheses: true }));
          tokens.expect('operator', ')');
          return inner;
        }
        if (tokens.take('operator', '[')) return { kind: 'list', items: this.#items(']', () => this.expression()) };
        if (tokens.take('operator', '{')) return { kind: 'dict', pairs: this.#items('}', () => this.#pair()) };
    }
    throw tokens.fail(`unexpected ${tokens.got()}`);
  }

  #pair(): readonly [Expression, Expression] {
    const key = this.expression();
    this.tokens.expect('operator', ':');
    return [key, this.expression()];
  }

  #items<T>(close: string, item: () => T): T[] {
    const { tokens } = this;
    const items: T[] = [];
    while (!tokens.is('operator', close)) {
      if (items.length > 0) tokens.expect('operator', ',');
      if (tokens.is('operator', close)) break;
      items.push(item());
    }
    tokens.expect('operator', close);
    return items;
  }

  #postfix(start: Expression): Expression {
    let node = start;
    while (true) {
      if (this.tokens.is('operator', '.', '[')) node = this.#subscript(node);
      else if (this.tokens.is('operator', '(')) node = { kind: 'call', callee: node, args: this.arguments() };
      else return node;
    }
  }

  #filters(start: Expression): Expression {
    let node = start;
    while (true) {
      if (this.tokens.take('operator', '|')) node = { kind: 'filter', of: node, ...this.filter() };
      else if (this.tokens.is('name', 'is')) node = this.#test(node);
      else if (this.tokens.is('operator', '(')) node = { kind: 'call', callee: node, args: this.arguments() };
      else return node;
    }
  }

  #subscript(of: Expression): Expression {
    const { tokens } = this;
    if (tokens.take('operator', '.')) {
      const token = tokens.next();
      if (token.type === 'name') return { kind: 'attribute', of, name: token.value };
      if (token.type !== 'integer') throw tokens.fail('expected a name or number behind "."');
      return { kind: 'item', of, key: { kind: 'const', value: parseInteger(token.value, 10) ?? 0 } };
    }
    tokens.next();
    const keys: (Expression | readonly (Expression | undefined)[])[] = [];
    while (!tokens.is('operator', ']')) {
      if (keys.length > 0) tokens.expect('operator', ',');
      keys.push(this.#subscripted());
    }
    tokens.expect('operator', ']');
    const [key] = keys;
    if (key !== undefined && keys.length === 1)
      return 'kind' in key ? { kind: 'item', of, key } : { kind: 'slice', of, bounds: key };
    const items = keys.map((item) => ('kind' in item ? item : ({ kind: 'const', value: NONE } as const)));
    return { kind: 'item', of, key: { kind: 'tuple', items } };
  }

  /** An expression, or the bounds of a slice. */
  #subscripted(): Expression | readonly (Expression | undefined)[] {
    const { tokens } = this;
    const bounds: (Expression | undefined)[] = [];
    if (tokens.take('operator', ':')) {
      bounds.push(undefined);
    } else {
      const first = this.expression();
      if (!tokens.take('operator', ':')) return first;
      bounds.push(first);
    }
    bounds.push(tokens.is('operator', ':', ']', ',') ? undefined : this.expression());
    if (tokens.take('operator', ':')) bounds.push(tokens.is('operator', ']', ',') ? undefined : this.expression());
    return bounds;
  }

  arguments(): Call {
    const { tokens } = this;
    tokens.expect('operator', '(');
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let list: Expression | undefined;
    let mapping: Expression | undefined;
    let first = true;
    while (!tokens.is('operator', ')')) {
      if (!first) tokens.expect('operator', ',');
      first = false;
      if (tokens.is('operator', ')')) break;
      const isNamed =
        tokens.current.type === 'name' && tokens.following.type === 'operator' && tokens.following.value === '=';
      if (tokens.take('operator', '*')) {
        if (list !== undefined || mapping !== undefined) throw tokens.fail('invalid call of a function');
        list = this.expression();
      } else if (tokens.take('operator', '**')) {
        if (mapping !== undefined) throw tokens.fail('invalid call of a function');
        mapping = this.expression();
      } else if (isNamed) {
        if (mapping !== undefined) throw tokens.fail('invalid call of a function');
        const key = tokens.next().value;
        tokens.next();
        named.push([key, this.expression()]);
      } else {
        if (list !== undefined || mapping !== undefined || named.length > 0)
          throw tokens.fail('an argument without a name comes before those with one');
        positional.push(this.expression());
      }
    }
    tokens.expect('operator', ')');
    return { positional, named, list, mapping };
  }

  /** The name of a filter and its arguments. */
  filter(): { name: string; args: Call } {
    const name = this.#dotted();
    return { name, args: this.tokens.is('operator', '(') ? this.arguments() : noArguments };
  }

  #dotted(): string {
    const { tokens } = this;
    let name = tokens.expect('name').value;
    while (tokens.take('operator', '.')) name += `.${tokens.expect('name').value}`;
    return name;
  }

  #test(of: Expression): Expression {
    const { tokens } = this;
    tokens.expect('name', 'is');
    const negated = tokens.take('name', 'not');
    const name = this.#dotted();
    let args = noArguments;
    if (tokens.is('operator', '(')) {
      args = this.arguments();
    } else if (this.#beginsArgument()) {
      if (tokens.is('name', 'is')) throw tokens.fail('tests cannot be chained with "is"');
      args = { positional: [this.#postfix(this.primary())], named: [] };
    }
    const test: Expression = { kind: 'test', of, name, args };
    return negated ? { kind: 'not', of: test } : test;
  }

  #beginsArgument(): boolean {
    const { tokens } = this;
    if (tokens.is('name')) return !tokens.is('name', 'else', 'or', 'and');
    return tokens.is('string') || tokens.is('integer') || tokens.is('float') || tokens.is('operator', '[', '{');
  }
}

const noArguments: Call = { positional: [], named: [] };
