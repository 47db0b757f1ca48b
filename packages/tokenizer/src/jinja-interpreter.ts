// @huggingface/jinja's interpreter with Python's meaning where the two differ in what chat templates use: what is
// printed, operators, string methods, what a loop runs over, and the scope and early exit of a loop.
// Values as Python sees them are jinja-values.ts; whitespace is jinja-source.ts.

import { charge, deeper, step } from './jinja-budget.js';
import {
  ArrayValue,
  BooleanValue,
  Environment,
  FloatValue,
  FunctionValue,
  IntegerValue,
  Interpreter,
  type Node,
  ObjectValue,
  type Scope,
  StringValue,
  UndefinedValue,
  type Value,
} from './jinja-library.js';
import { equal, isArray, isMapping, isString, numberOf, repr, str, stringMethods } from './jinja-values.js';

/** Not statements: in a template's text these print what they give. */
const silent = new Set([
  'Set',
  'If',
  'For',
  'Macro',
  'CallStatement',
  'FilterStatement',
  'Break',
  'Continue',
  'Comment',
]);
const bodies = ['body', 'alternate', 'defaultBlock'] as const;

/** Marks, in place, each expression that is printed, so that the library's blocks print it as Python does. */
export function markOutputs(node: Node): Node {
  for (const key of bodies) {
    const body = node[key];
    if (!Array.isArray(body)) continue;
    body.forEach((child: Node, i) => {
      if (silent.has(child.type)) markOutputs(child);
      else body[i] = { type: 'Output', expression: child };
    });
  }
  return node;
}

/** `{% break %}` or `{% continue %}` on its way to the loop, with the text of the blocks that it leaves. */
class LoopExit extends Error {
  text = '';
  constructor(readonly kind: 'Break' | 'Continue') {
    super(`"${kind.toLowerCase()}" outside of a loop`);
  }
}

export class PythonInterpreter extends Interpreter {
  override evaluate(node: Node | undefined, scope: Scope): Value {
    step();
    const value = node?.type === 'CallExpression' ? deeper(() => this.#value(node, scope)) : this.#value(node, scope);
    // What has a name is there already; everything else may be new.
    if (node?.type !== 'Identifier' && node?.type !== 'Given' && (isString(value) || isArray(value)))
      charge(value.value.length);
    return value;
  }

  #value(node: Node | undefined, scope: Scope): Value {
    switch (node?.type) {
      case 'Given':
        return node.evaluated as Value;
      case 'Output':
        return new StringValue(str(this.evaluate(node.expression as Node, scope)));
      case 'If': {
        const taken = this.evaluate(node.test as Node, scope).__bool__().value;
        return new StringValue(this.#block((taken ? node.body : node.alternate) as Node[], scope));
      }
      case 'For':
        return new StringValue(this.#loop(node, scope));
      case 'Break':
      case 'Continue':
        throw new LoopExit(node.type);
      case 'BinaryExpression':
        return this.#binary(node, scope);
      case 'MemberExpression':
        return this.#member(node, scope);
      case 'FilterExpression':
        return this.#filter(node, scope);
      default:
        return super.evaluate(node, scope);
    }
  }

  #block(statements: readonly Node[], scope: Scope): string {
    let text = '';
    for (const statement of statements) {
      try {
        const value = this.evaluate(statement, scope);
        if (isString(value)) text += value.value;
      } catch (error) {
        if (error instanceof LoopExit) error.text = text + error.text;
        throw error;
      }
    }
    return text;
  }

  #loop(node: Node, outer: Scope): string {
    const source = node.iterable as Node;
    const selecting = source.type === 'SelectExpression';
    const all = itemsOf(this.evaluate((selecting ? source.lhs : source) as Node, outer));
    const items: Value[] = [];
    for (const item of all) {
      if (selecting) {
        const scope = new Environment(outer);
        assign(node.loopvar as Node, item, scope);
        if (!this.evaluate(source.test as Node, scope).__bool__().value) continue;
      }
      items.push(item);
    }
    if (items.length === 0) return this.#block(node.defaultBlock as Node[], new Environment(outer));
    let text = '';
    for (let i = 0; i < items.length; i++) {
      // What a loop's body sets is gone in the next round, as in jinja2.
      const scope = new Environment(outer);
      scope.setVariable('loop', loopVariable(items, i));
      assign(node.loopvar as Node, items[i]!, scope);
      try {
        text += this.#block(node.body as Node[], scope);
      } catch (error) {
        if (!(error instanceof LoopExit)) throw error;
        text += error.text;
        if (error.kind === 'Break') break;
      }
    }
    return text;
  }

  #binary(node: Node, scope: Scope): Value {
    const operator = (node.operator as { value: string }).value;
    const left = this.evaluate(node.left as Node, scope);
    if (operator === 'and') return left.__bool__().value ? this.evaluate(node.right as Node, scope) : left;
    if (operator === 'or') return left.__bool__().value ? left : this.evaluate(node.right as Node, scope);
    return operate(operator, left, this.evaluate(node.right as Node, scope));
  }

  #member(node: Node, scope: Scope): Value {
    const object = this.evaluate(node.object as Node, scope);
    const property = node.property as Node;
    if (object.type === 'UndefinedValue') throw new Error(`an undefined value has no ${memberName(property)}`);
    const method = !node.computed && isString(object) ? stringMethods.get(property.value as string) : undefined;
    if (method !== undefined) return new FunctionValue((args) => method(object.value as string, args));
    // The object is evaluated already; the library gets it as a node that gives it.
    return super.evaluate({ ...node, object: { type: 'Given', evaluated: object } } as Node, scope);
  }

  #filter(node: Node, scope: Scope): Value {
    const operand = this.evaluate(node.operand as Node, scope);
    const filter = node.filter as Node;
    const name = (filter.type === 'Identifier' ? filter : (filter.callee as Node)).value as string;
    const args = (filter.args ?? []) as Node[];
    if (args.length === 0) {
      const result = plainFilter(name, operand);
      if (result !== undefined) return result;
    } else if (name === 'trim' && isString(operand)) {
      return stringMethods.get('strip')!(
        operand.value,
        args.map((arg) => this.evaluate(arg, scope)),
      );
    } else if (name === 'map' && args.length === 1 && args[0]!.type === 'StringLiteral') {
      const inner = { type: 'Identifier', value: args[0]!.value };
      return new ArrayValue(itemsOf(operand).map((item) => this.#filter(filterNode(item, inner), scope)));
    }
    if (name === 'selectattr' || name === 'rejectattr') {
      const given = args.map((arg) => this.evaluate(arg, scope));
      return new ArrayValue(selectByAttribute(operand, given, name === 'selectattr', scope));
    }
    // The library joins JavaScript values, where None and True must come out as Python writes them.
    const given = name === 'join' && isArray(operand) ? texts(operand.value) : operand;
    return super.evaluate(filterNode(given, filter), scope);
  }
}

/** `selectattr(attribute, test, argument)`; the library takes literals only, and no `in`. */
function selectByAttribute(operand: Value, args: readonly Value[], wanted: boolean, scope: Scope): Value[] {
  const [attribute, test, argument] = args;
  if (attribute === undefined || !isString(attribute)) throw new Error('selectattr() needs the name of an attribute');
  const passes = (value: Value): boolean => {
    if (test === undefined) return value.__bool__().value;
    return applyTest(str(test), value, argument ?? new UndefinedValue(undefined), scope);
  };
  // jinja2 does not look into a value that is false.
  const items = operand.__bool__().value ? itemsOf(operand) : [];
  return items.filter((item) => {
    let value: Value | undefined = item;
    for (const key of attribute.value.split('.')) {
      value = value !== undefined && isMapping(value) ? value.value.get(key) : undefined;
    }
    return passes(value ?? new UndefinedValue(undefined)) === wanted;
  });
}

function applyTest(name: string, value: Value, argument: Value, scope: Scope): boolean {
  switch (name) {
    case '==':
    case 'eq':
    case 'equalto':
      return equal(value, argument);
    case '!=':
    case 'ne':
      return !equal(value, argument);
    case 'in':
      return contains(argument, value);
    default: {
      const test = scope.tests.get(name);
      if (test === undefined) throw new Error(`unknown test "${name}"`);
      return test(value, argument);
    }
  }
}

const filterNode = (operand: Value, filter: Node): Node => ({
  type: 'FilterExpression',
  operand: { type: 'Given', evaluated: operand },
  filter,
});

const texts = (values: readonly Value[]): Value => new ArrayValue(values.map((value) => new StringValue(str(value))));

/** Filters without arguments that the library lacks or has for fewer types; undefined leaves it to the library. */
function plainFilter(name: string, operand: Value): Value | undefined {
  switch (name) {
    case 'string':
      return new StringValue(str(operand));
    case 'list':
      return new ArrayValue([...itemsOf(operand)]);
    case 'first':
      return itemsOf(operand)[0] ?? new UndefinedValue(undefined);
    case 'last':
      return itemsOf(operand).at(-1) ?? new UndefinedValue(undefined);
    case 'length':
    case 'count':
      return new IntegerValue(itemsOf(operand).length);
    case 'upper':
      return new StringValue(str(operand).toUpperCase());
    case 'lower':
      return new StringValue(str(operand).toLowerCase());
    case 'trim':
    case 'title':
    case 'capitalize':
      return stringMethods.get(name === 'trim' ? 'strip' : name)!(str(operand), []);
    case 'items':
      return operand.type === 'UndefinedValue' ? new ArrayValue([]) : undefined;
    case 'reverse':
      return isString(operand) ? new StringValue(Array.from(operand.value).reverse().join('')) : undefined;
    default:
      return undefined;
  }
}

/** What Python would iterate over. */
function itemsOf(value: Value): readonly Value[] {
  if (isArray(value)) return value.value;
  if (isString(value)) return Array.from(value.value, (char) => new StringValue(char));
  if (isMapping(value)) return Array.from(value.value.keys(), (key) => new StringValue(key));
  if (value.type === 'UndefinedValue') return [];
  throw new Error(`cannot iterate over ${repr(value)}`);
}

function assign(target: Node, value: Value, scope: Scope): void {
  if (target.type === 'Identifier') {
    scope.setVariable(target.value as string, value);
    return;
  }
  const names = target.value as Node[];
  const values = itemsOf(value);
  if (names.length !== values.length) throw new Error(`cannot unpack ${repr(value)} into ${names.length} names`);
  names.forEach((name, i) => {
    assign(name, values[i]!, scope);
  });
}

function loopVariable(items: readonly Value[], i: number): Value {
  const integer = (value: number): Value => new IntegerValue(value);
  return new ObjectValue(
    new Map<string, Value>([
      ['index', integer(i + 1)],
      ['index0', integer(i)],
      ['revindex', integer(items.length - i)],
      ['revindex0', integer(items.length - i - 1)],
      ['first', new BooleanValue(i === 0)],
      ['last', new BooleanValue(i === items.length - 1)],
      ['length', integer(items.length)],
      ['previtem', items[i - 1] ?? new UndefinedValue(undefined)],
      ['nextitem', items[i + 1] ?? new UndefinedValue(undefined)],
      ['cycle', new FunctionValue((args) => args[i % args.length] ?? new UndefinedValue(undefined))],
    ]),
  );
}

function operate(operator: string, left: Value, right: Value): Value {
  const x = numberOf(left);
  const y = numberOf(right);
  switch (operator) {
    case '==':
      return new BooleanValue(equal(left, right));
    case '!=':
      return new BooleanValue(!equal(left, right));
    case 'in':
      return new BooleanValue(contains(right, left));
    case 'not in':
      return new BooleanValue(!contains(right, left));
    case '~':
      return new StringValue(str(left) + str(right));
    case '<':
    case '>':
    case '<=':
    case '>=':
      if (x !== undefined && y !== undefined) return new BooleanValue(ordered(operator, x - y));
      if (isString(left) && isString(right)) return new BooleanValue(ordered(operator, byCodePoint(left, right)));
      break;
    case '+':
      if (isString(left) && isString(right)) return new StringValue(left.value + right.value);
      if (isArray(left) && isArray(right)) return new ArrayValue([...left.value, ...right.value]);
      break;
    case '*': {
      const [sequence, times] = x === undefined ? [left, y] : [right, x];
      if (times === undefined || numberOf(sequence) !== undefined) break;
      const count = Math.max(0, times);
      if (isString(sequence) || isArray(sequence)) charge(count * sequence.value.length);
      if (isString(sequence)) return new StringValue(sequence.value.repeat(count));
      if (isArray(sequence)) return new ArrayValue(Array.from({ length: count }, () => sequence.value).flat());
    }
  }
  if (x !== undefined && y !== undefined) {
    const float = left.type === 'FloatValue' || right.type === 'FloatValue' || operator === '/';
    const result = arithmetic(operator, x, y);
    if (!Number.isFinite(result)) throw new Error(`${x} ${operator} ${y} is not a number`);
    return float || !Number.isInteger(result) ? new FloatValue(result) : new IntegerValue(result);
  }
  throw new Error(`cannot apply "${operator}" to ${describe(left)} and ${describe(right)}`);
}

function arithmetic(operator: string, x: number, y: number): number {
  switch (operator) {
    case '+':
      return x + y;
    case '-':
      return x - y;
    case '*':
      return x * y;
    case '/':
      return x / y;
    case '//':
      return Math.floor(x / y);
    case '%':
      return x - y * Math.floor(x / y); // has the sign of y, as in Python
    case '**':
      return x ** y;
    default:
      throw new Error(`unknown operator "${operator}"`);
  }
}

const ordered = (operator: string, difference: number): boolean =>
  operator === '<'
    ? difference < 0
    : operator === '>'
      ? difference > 0
      : operator === '<='
        ? difference <= 0
        : difference >= 0;

function byCodePoint(left: { value: string }, right: { value: string }): number {
  const a = Array.from(left.value, (char) => char.codePointAt(0)!);
  const b = Array.from(right.value, (char) => char.codePointAt(0)!);
  const i = a.findIndex((code, at) => code !== b[at]);
  return i < 0 ? a.length - b.length : a[i]! - (b[i] ?? -1);
}

function contains(container: Value, item: Value): boolean {
  if (isString(container)) {
    if (isString(item)) return container.value.includes(item.value);
    throw new Error(`cannot look for ${describe(item)} in a string`);
  }
  if (isMapping(container)) return isString(item) && container.value.has(item.value);
  return itemsOf(container).some((other) => equal(other, item));
}

const describe = (value: Value): string => (value.type === 'UndefinedValue' ? 'an undefined value' : repr(value));

const memberName = (property: Node): string =>
  property.type === 'Identifier' || property.type === 'StringLiteral' ? `"${property.value}"` : 'members';
