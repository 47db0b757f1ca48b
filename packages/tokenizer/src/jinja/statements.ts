// Parsing of a template's statements, by the grammar of jinja2's parser with the tags that transformers adds: `break`,
// `continue` and `generation`. Expressions are expressions.ts.
import { ExpressionParser } from './expressions.js';
import { tokenize, type Whitespace } from './lexer.js';
import type { Expression, Filtering, Procedure, Statement } from './nodes.js';
import { Tokens } from './tokens.js';

type Body = readonly Statement[];

/** Throws a SyntaxError for a malformed template. */
export function parseTemplate(source: string, rules: Whitespace): Body {
  return new StatementParser(new Tokens(tokenize(source, rules))).template();
}

/** The value that stands alone in a text, such as a list as Python writes it. Throws a SyntaxError. */
export function parseExpression(source: string): Expression {
  const rules = { trimBlocks: false, lstripBlocks: false, keepTrailingNewline: false };
  const [statement, ...more] = parseTemplate(`{{ ${source} }}`, rules);
  if (statement?.kind !== 'print' || more.length > 0) throw new SyntaxError('expected one expression');
  return statement.value;
}

const elsewhere = ['extends', 'include', 'import', 'from'];

class StatementParser {
  readonly #expressions: ExpressionParser;
  #loops = 0;

  constructor(readonly tokens: Tokens) {
    this.#expressions = new ExpressionParser(tokens);
  }

  template(): Body {
    const body = this.#until([]);
    if (!this.tokens.is('eof')) throw this.tokens.fail(`unexpected ${this.tokens.got()}`);
    return body;
  }

  /** Statements up to a tag with one of these names, which is left to the caller. */
  #until(ends: readonly string[]): Body {
    const { tokens } = this;
    const body: Statement[] = [];
    while (!tokens.is('eof')) {
      if (tokens.is('data')) {
        body.push({ kind: 'text', text: tokens.next().value });
      } else if (tokens.take('variable_begin')) {
        body.push({ kind: 'print', value: this.#expressions.tuple() });
        tokens.expect('variable_end');
      } else {
        tokens.expect('block_begin');
        if (ends.length > 0 && tokens.is('name', ...ends)) return body;
        body.push(...tokens.nested(() => this.#statement()));
        tokens.expect('block_end');
      }
    }
    if (ends.length > 0)
      throw tokens.fail(`the template ends where ${ends.map((end) => `"${end}"`).join(' or ')} is expected`);
    return body;
  }

  /** The body of a tag up to its end, which is taken. */
  #body(...ends: string[]): Body {
    const body = this.#bodyBefore(...ends);
    this.tokens.next();
    return body;
  }

  #bodyBefore(...ends: string[]): Body {
    this.tokens.take('operator', ':');
    this.tokens.expect('block_end');
    return this.#until(ends);
  }

  #statement(): Body {
    const { tokens } = this;
    const { value: tag } = tokens.expect('name');
    switch (tag) {
      case 'if':
        return [this.#if()];
      case 'for':
        return [this.#for()];
      case 'set':
        return [this.#set()];
      case 'macro':
        return [{ kind: 'macro', procedure: this.#procedure(tokens.expect('name').value, 'endmacro') }];
      case 'call':
        return [this.#call()];
      case 'filter':
        return [{ kind: 'filterBlock', filter: { kind: 'filter', ...this.#filters() }, body: this.#body('endfilter') }];
      case 'print':
        return this.#print();
      case 'with':
        return [this.#with()];
      case 'block':
        return [this.#block()];
      case 'generation':
        return [{ kind: 'scope', assignments: [], body: this.#apart(() => this.#body('endgeneration')) }];
      case 'break':
      case 'continue':
        if (this.#loops === 0) throw tokens.fail(`"${tag}" outside of a loop`);
        return [{ kind: tag }];
      default: {
        if (elsewhere.includes(tag)) throw tokens.fail(`"${tag}" needs another template, and there is none`);
        throw tokens.fail(`unknown tag "${tag}"`);
      }
    }
  }

  /** A body that no `break` leaves. */
  #apart<T>(parse: () => T): T {
    const loops = this.#loops;
    this.#loops = 0;
    const result = parse();
    this.#loops = loops;
    return result;
  }

  #if(): Statement {
    const { tokens } = this;
    const branches: [Expression, Body][] = [];
    do {
      const test = this.#expressions.tuple({ plain: true });
      branches.push([test, this.#bodyBefore('elif', 'else', 'endif')]);
    } while (tokens.take('name', 'elif'));
    const otherwise = tokens.next().value === 'else' ? this.#body('endif') : [];
    return { kind: 'if', branches, otherwise };
  }

  #for(): Statement {
    const { tokens } = this;
    tokens.loops++;
    const target = this.#expressions.target(false, 'in');
    tokens.expect('name', 'in');
    const over = this.#expressions.tuple({ plain: true, until: 'recursive' });
    const test = tokens.take('name', 'if') ? this.#expressions.expression() : undefined;
    const recursive = tokens.take('name', 'recursive');
    this.#loops++;
    const body = this.#bodyBefore('endfor', 'else');
    this.#loops--;
    tokens.loops--;
    const otherwise = tokens.next().value === 'else' ? this.#body('endfor') : [];
    return { kind: 'for', target, over, test, recursive, body, otherwise };
  }

  #set(): Statement {
    const { tokens } = this;
    const target = this.#expressions.target(true);
    if (tokens.take('operator', '=')) return { kind: 'set', target, value: this.#expressions.tuple() };
    const filter: Filtering | undefined = tokens.take('operator', '|')
      ? { kind: 'filter', ...this.#filters() }
      : undefined;
    return { kind: 'setBlock', target, filter, body: this.#body('endset') };
  }

  /** Filters behind each other; the innermost has no operand. */
  #filters(): Omit<Filtering, 'kind'> {
    let filter: Omit<Filtering, 'kind'> = this.#expressions.filter();
    while (this.tokens.take('operator', '|'))
      filter = { of: { kind: 'filter', ...filter }, ...this.#expressions.filter() };
    return filter;
  }

  #procedure(name: string, end: string, required = true): Procedure {
    const { tokens } = this;
    const parameters: string[] = [];
    const defaults: Expression[] = [];
    const used = new Set<string>();
    tokens.used.push(used);
    if (required || tokens.is('operator', '(')) {
      tokens.expect('operator', '(');
      while (!tokens.is('operator', ')')) {
        if (parameters.length > 0) tokens.expect('operator', ',');
        parameters.push(tokens.expect('name').value);
        if (tokens.take('operator', '=')) defaults.push(this.#expressions.expression());
        else if (defaults.length > 0) throw tokens.fail('a parameter without a default follows one that has one');
      }
      tokens.expect('operator', ')');
    }
    return this.#procedureBody({ name, parameters, defaults }, end, used);
  }

  #procedureBody(head: Omit<Procedure, 'body' | 'takes'>, end: string, used: Set<string>): Procedure {
    const body = this.#apart(() => this.#body(end));
    this.tokens.used.pop();
    for (const name of used) this.tokens.use(name);
    return { ...head, body, takes: new Set(['caller', 'varargs', 'kwargs'].filter((name) => used.has(name))) };
  }

  #call(): Statement {
    const { tokens } = this;
    const parameters: string[] = [];
    const defaults: Expression[] = [];
    if (tokens.take('operator', '(')) {
      while (!tokens.is('operator', ')')) {
        if (parameters.length > 0) tokens.expect('operator', ',');
        parameters.push(tokens.expect('name').value);
        if (tokens.take('operator', '=')) defaults.push(this.#expressions.expression());
      }
      tokens.next();
    }
    const call = this.#expressions.expression();
    if (call.kind !== 'call') throw tokens.fail('expected a call of a macro');
    const used = new Set<string>();
    tokens.used.push(used);
    return {
      kind: 'call',
      call,
      procedure: this.#procedureBody({ name: 'caller', parameters, defaults }, 'endcall', used),
    };
  }

  #print(): Statement[] {
    const { tokens } = this;
    const statements: Statement[] = [];
    while (!tokens.is('block_end')) {
      if (statements.length > 0) tokens.expect('operator', ',');
      statements.push({ kind: 'print', value: this.#expressions.expression() });
    }
    return statements;
  }

  #with(): Statement {
    const { tokens } = this;
    const assignments: (readonly [ReturnType<ExpressionParser['target']>, Expression])[] = [];
    while (!tokens.is('block_end')) {
      if (assignments.length > 0) tokens.expect('operator', ',');
      const target = { kind: 'name', name: tokens.expect('name').value } as const;
      tokens.expect('operator', '=');
      assignments.push([target, this.#expressions.expression()]);
    }
    return { kind: 'scope', assignments, body: this.#body('endwith') };
  }

  #block(): Statement {
    const { tokens } = this;
    const { value: name } = tokens.expect('name');
    tokens.take('name', 'scoped');
    tokens.take('name', 'required');
    const body = this.#apart(() => this.#body('endblock'));
    tokens.take('name', name);
    return { kind: 'scope', assignments: [], body };
  }
}
