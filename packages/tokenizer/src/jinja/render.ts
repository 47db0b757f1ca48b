// Runs a template's statements: text, loops, assignments, macros, and blocks whose text goes elsewhere.
import { charge, deeper, step } from './budget.js';
import { Evaluator } from './evaluate.js';
import { Namespace } from './globals.js';
import { Loop } from './loop.js';
import type { Filtering, Procedure, Statement, Target } from './nodes.js';
import { str } from './repr.js';
import { Scope } from './scope.js';
import {
  type Arguments,
  Dict,
  iterate,
  PythonError,
  PythonObject,
  Tuple,
  truth,
  Undefined,
  type Value,
} from './values.js';

type Body = readonly Statement[];
type ForLoop = Extract<Statement, { readonly kind: 'for' }>;
type Exit = 'break' | 'continue' | undefined;

class Output {
  text = '';
  write(text: string): void {
    charge(text.length);
    this.text += text;
  }
}

export class Renderer extends Evaluator {
  render(body: Body, scope: Scope): string {
    const out = new Output();
    this.#run(body, scope, out);
    return out.text;
  }

  #run(body: Body, scope: Scope, out: Output): Exit {
    for (const statement of body) {
      step();
      const exit = this.#statement(statement, scope, out);
      if (exit !== undefined) return exit;
    }
    return undefined;
  }

  #statement(statement: Statement, scope: Scope, out: Output): Exit {
    switch (statement.kind) {
      case 'text':
        out.write(statement.text);
        return undefined;
      case 'print':
        out.write(str(this.evaluate(statement.value, scope)));
        return undefined;
      case 'if':
        for (const [test, body] of statement.branches)
          if (truth(this.evaluate(test, scope))) return deeper(() => this.#run(body, scope, out));
        return deeper(() => this.#run(statement.otherwise, scope, out));
      case 'for':
        return deeper(() => this.#loop(statement, this.evaluate(statement.over, scope), 0, scope, out));
      case 'set':
        this.assign(statement.target, this.evaluate(statement.value, scope), scope);
        return undefined;
      case 'setBlock': {
        const block = new Output();
        const exit = deeper(() => this.#run(statement.body, new Scope(scope), block));
        if (exit === undefined)
          this.assign(statement.target, this.#through(statement.filter, block.text, scope), scope);
        return exit;
      }
      case 'filterBlock': {
        const block = new Output();
        const exit = deeper(() => this.#run(statement.body, new Scope(scope), block));
        if (exit === undefined) out.write(str(this.#through(statement.filter, block.text, scope)));
        return exit;
      }
      case 'macro':
        scope.set(statement.procedure.name, new Macro(statement.procedure, scope, this));
        return undefined;
      case 'call': {
        const caller = new Macro(statement.procedure, scope, this);
        const { positional, named } = this.arguments(statement.call.args, scope);
        const args = { positional, named: new Map(named).set('caller', caller) };
        out.write(str(this.call(this.evaluate(statement.call.callee, scope), args)));
        return undefined;
      }
      case 'scope': {
        const inner = new Scope(scope);
        // jinja2 looks at the scope around for all of them.
        const values = statement.assignments.map(([, value]) => this.evaluate(value, scope));
        statement.assignments.forEach(([target], i) => {
          this.assign(target, values[i] as Value, inner);
        });
        return deeper(() => this.#run(statement.body, inner, out));
      }
      default:
        return statement.kind;
    }
  }

  #through(filter: Filtering | undefined, text: string, scope: Scope): Value {
    return filter === undefined ? text : this.filtered(filter, text, scope);
  }

  #loop(node: ForLoop, over: Value, depth: number, outer: Scope, out: Output): Exit {
    const items: Value[] = [];
    for (const item of iterate(over)) {
      step();
      if (node.test !== undefined) {
        const scope = new Scope(outer);
        this.assign(node.target, item, scope);
        if (!truth(this.evaluate(node.test, scope))) continue;
      }
      items.push(item);
    }
    charge(items.length);
    const again = (more: Value, level: number): string =>
      deeper(() => {
        const inner = new Output();
        this.#loop(node, more, level, outer, inner);
        return inner.text;
      });
    const loop = new Loop(items, depth, node.recursive ? again : undefined, this.rules.strict);
    let finished = false;
    for (const [i, item] of items.entries()) {
      step();
      loop.at = i;
      // What the body sets is gone in the next round, as in jinja2.
      const scope = new Scope(outer);
      scope.set('loop', loop);
      this.assign(node.target, item, scope);
      const exit = this.#run(node.body, scope, out);
      if (exit === undefined) finished = true;
      else if (exit === 'break') break;
    }
    // As jinja2 compiles it: a loop whose every round was left early counts as one without rounds.
    return finished ? undefined : this.#run(node.otherwise, new Scope(outer), out);
  }

  assign(target: Target, value: Value, scope: Scope): void {
    if (target.kind === 'name') {
      scope.set(target.name, value);
    } else if (target.kind === 'attribute') {
      const space = scope.get(target.of);
      if (!(space instanceof Namespace))
        throw new PythonError('TemplateRuntimeError', 'cannot assign attribute on non-namespace object');
      space.put(target.name, value);
    } else {
      const values: Value[] = [];
      for (const item of iterate(value)) {
        values.push(item);
        if (values.length > target.items.length) break;
      }
      if (values.length !== target.items.length) {
        const many = values.length > target.items.length ? 'too many' : 'not enough';
        throw new PythonError('ValueError', `${many} values to unpack (expected ${target.items.length})`);
      }
      target.items.forEach((item, i) => {
        this.assign(item, values[i] as Value, scope);
      });
    }
  }
}

/** A macro, or the block of a `call`: it sees the names where it stands. */
class Macro extends PythonObject {
  readonly typeName = 'Macro';

  constructor(
    readonly procedure: Procedure,
    readonly scope: Scope,
    readonly renderer: Renderer,
  ) {
    super();
  }

  override repr(): string {
    return `<Macro '${this.procedure.name}'>`;
  }

  override attribute(name: string): Value | undefined {
    const { parameters, takes } = this.procedure;
    switch (name) {
      case 'name':
        return this.procedure.name;
      case 'arguments':
        return new Tuple([...parameters]);
      case 'caller':
        return takes.has('caller');
      case 'catch_kwargs':
        return takes.has('kwargs');
      case 'catch_varargs':
        return takes.has('varargs');
      default:
        return undefined;
    }
  }

  override call({ positional, named }: Arguments): Value {
    const { name, parameters, defaults, body, takes } = this.procedure;
    const { renderer } = this;
    const fail = (what: string): PythonError => new PythonError('TypeError', `macro '${name}' ${what}`);
    const scope = new Scope(this.scope);
    const left = new Map(named);
    const firstDefault = parameters.length - defaults.length;
    return deeper(() => {
      parameters.forEach((parameter, i) => {
        let value = positional[i] ?? left.get(parameter);
        if (positional[i] !== undefined && left.has(parameter)) throw fail(`got two values for '${parameter}'`);
        left.delete(parameter);
        if (value === undefined && i >= firstDefault) value = renderer.evaluate(defaults[i - firstDefault]!, scope);
        scope.set(
          parameter,
          value ?? new Undefined(`parameter '${parameter}' was not provided`, renderer.rules.strict),
        );
      });
      if (takes.has('caller') && !parameters.includes('caller')) {
        scope.set('caller', left.get('caller') ?? new Undefined('No caller defined', renderer.rules.strict));
        left.delete('caller');
      }
      if (takes.has('kwargs')) scope.set('kwargs', Dict.of(left));
      else if (left.size > 0) throw fail(`takes no keyword argument '${[...left.keys()][0]}'`);
      const more = positional.slice(parameters.length);
      if (takes.has('varargs')) scope.set('varargs', new Tuple(more));
      else if (more.length > 0) throw fail(`takes not more than ${parameters.length} argument(s)`);
      return renderer.render(body, scope);
    });
  }
}
