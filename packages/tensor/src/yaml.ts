// YAML of strangers as plain values: the one reader of it, beside that of JSON (json.ts). An entry of its own, so that only who
// reads YAML loads a parser. Bounded: the parser takes a microsecond and half a kilobyte for each of its tokens, compares keys each
// with each and looks for what an alias names in all of the text, so these are counted before. What the values mean is the caller's.
import { Composer, type CST, isAlias, isCollection, isPair, isScalar, Lexer, Parser } from 'yaml';
import { RelufyError } from './errors.js';
import { deepest } from './json.js';
import { printable } from './printable.js';

export interface YamlOptions {
  /** What a text behind a tag of its own stands for, such as `!function`. */
  readonly tags?: Readonly<Record<string, (text: string) => unknown>>;
}

/** Bytes that a file of YAML may have: what people write has a thousandth of it. */
export const mostYamlBytes = 2 ** 22;
/** Names, values, marks and the white space between them: 12,000 lines of a name and a value. */
const mostTokens = 60_000;
/** Comparisons of keys of one mapping, to find those that are there twice: 2000 side by side. */
const mostCompared = 2_000_000;
const mostAliases = 1000;

/** @throws RelufyError `option` for what is no YAML, or takes more than a description does. */
export function parseYaml(where: string, text: string, { tags = {} }: YamlOptions = {}): unknown {
  let compared = 0;
  let aliases = 0;
  try {
    const composer = new Composer({
      customTags: Object.entries(tags).map(([tag, resolve]) => ({ tag, resolve })),
      // lines of errors are looked for from the beginning of the text, for each error
      prettyErrors: false,
      logLevel: 'error',
      uniqueKeys: (a, b) => {
        if (++compared > mostCompared) throw new Error('more than 2000 keys side by side');
        return isScalar(a) && isScalar(b) && a.value === b.value;
      },
    });
    const [document, next] = composer.compose(readTokens(text), true, text.length);
    if (document === undefined) return null;
    const [error] = document.errors;
    if (error) throw new SyntaxError(`${error.message.split('\n')[0]}${lineOf(text, error.pos[0])}`);
    if (next) throw new SyntaxError(`a second document${lineOf(text, next.range[0])}`);
    const size = sizeOf(document.contents, new Map(), () => {
      if (++aliases > mostAliases) throw new Error(`more than ${mostAliases} aliases`);
    });
    if (size > mostTokens) throw new Error('aliases that stand for more and more of each other');
    return document.toJS({ maxAliasCount: -1 });
  } catch (cause) {
    const got = printable((cause as Error).message).slice(0, 200);
    throw new RelufyError('option', `${where}: expected YAML, got text that is none: ${got}. Correct the file.`, {
      cause,
    });
  }
}

const lineOf = (text: string, at: number): string => ` in line ${text.slice(0, at).split('\n').length}`;

/** Of a text without end, no more than the limit; of one that is wrong, no more than what stands before its first error. */
function readTokens(text: string): readonly CST.Token[] {
  const parser = new Parser();
  const tokens: CST.Token[] = [];
  const take = (read: Iterable<CST.Token>): void => {
    for (const token of read) {
      if (token.type === 'error') throw new SyntaxError(`${token.message}${lineOf(text, token.offset)}`);
      tokens.push(token);
    }
  };
  let count = 0;
  for (const lexeme of new Lexer().lex(text)) {
    if (++count > mostTokens) throw new Error(`more than ${mostTokens} tokens`);
    take(parser.next(lexeme));
  }
  take(parser.end());
  checkDepth(tokens);
  return tokens;
}

/**
 * The composer calls itself for each level. Where that uses up the stack, the engine does not always throw: a pattern that is compiled
 * there ends the process.
 */
function checkDepth(tokens: readonly CST.Token[]): void {
  const waiting: [token: CST.Token, depth: number][] = tokens.map((token) => [token, 0]);
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [token, depth] = next;
    if (depth > deepest) throw new Error(`more than ${deepest} levels of lists and mappings`);
    if (token.type === 'document' && token.value) waiting.push([token.value, depth]);
    if (!('items' in token)) continue;
    for (const { key, value } of token.items)
      for (const inner of [key, value]) if (inner) waiting.push([inner, depth + 1]);
  }
}

/**
 * Values that whoever walks through a node comes by, those that aliases stand for each time they are named. The parser's own count
 * (`maxAliasCount`) takes a name within what it stands for as nothing, and all that names it too. `onAlias` hears of each.
 */
function sizeOf(node: unknown, named: Map<string, number>, onAlias: () => void): number {
  if (isPair(node)) return sizeOf(node.key, named, onAlias) + sizeOf(node.value, named, onAlias);
  if (isAlias(node)) {
    onAlias();
    return named.get(node.source) ?? 1;
  }
  const { anchor } = (node ?? {}) as { readonly anchor?: string };
  if (!isCollection(node)) {
    if (anchor !== undefined) named.set(anchor, 1);
    return 1;
  }
  if (anchor !== undefined) named.set(anchor, Number.POSITIVE_INFINITY);
  let size = 1;
  for (const item of node.items) size += sizeOf(item, named, onAlias);
  if (anchor !== undefined) named.set(anchor, size);
  return size;
}
