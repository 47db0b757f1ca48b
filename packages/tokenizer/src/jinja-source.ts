// The whitespace rules of Jinja, applied to a template's source before @huggingface/jinja reads it.
// transformers sets trim_blocks and lstrip_blocks. The library imitates these with regular expressions over the whole
// source, which also hit string literals and "{-", and knows no CRLF, no `{%+`, no `raw` and no U+2028 inside a line.
// Here the source is walked tag by tag; what comes out has plain tags only, with nothing left for the library to strip.

const CLOSERS = { '{%': '%}', '{{': '}}', '{#': '#}' } as const;
type Opener = keyof typeof CLOSERS;

interface Tag {
  readonly opener: Opener;
  readonly body: string;
  /** '-' strips all blanks on that side, '+' keeps what lstrip_blocks or trim_blocks would strip. */
  readonly before: string;
  readonly after: string;
  readonly end: number;
}

const blank = /\s/u;

/** Throws a SyntaxError for a tag that is not closed. */
export function plainTags(template: string): string {
  // As jinja2: one kind of line end, and no line end at the end.
  const source = template.replaceAll(/\r\n?/g, '\n').replace(/\n$/, '');
  let out = '';
  let at = 0;
  while (at < source.length) {
    // A line end that a tag has swallowed still begins a line.
    const lineStart = at === 0 || source[at - 1] === '\n';
    const start = nextTag(source, at);
    const text = source.slice(at, start);
    if (start === source.length) {
      out += text;
      break;
    }
    const tag = readTag(source, start);
    // A brace that ends up right before a tag would be read as part of it, so it becomes an expression.
    out += stripEnd(text, tag, lineStart).replace(/\{$/, '{{ "{" }}');
    const word = tag.opener === '{%' ? tag.body.trim() : '';
    if (word === 'raw') {
      const raw = readRaw(source, tag);
      // The library would read tags in the text, so it becomes an expression.
      if (raw.content !== '') out += `{{ ${JSON.stringify(raw.content)} }}`;
      at = raw.end;
      continue;
    }
    at = skipAfter(source, tag, true);
    // The `generation` tags of transformers mark what the model wrote and render as nothing.
    if (tag.opener !== '{#' && word !== 'generation' && word !== 'endgeneration') {
      out += `${tag.opener} ${tag.body.trim()} ${CLOSERS[tag.opener]}`;
    }
  }
  // The library takes away one line end, as jinja2 does; that has been done.
  return out.endsWith('\n') ? `${out}\n` : out;
}

/** The text before a tag: `-` strips it, and lstrip_blocks takes blanks between the start of a line and the tag. */
function stripEnd(text: string, tag: Tag, lineStart: boolean): string {
  if (tag.before === '-') return text.trimEnd();
  if (tag.before === '+' || tag.opener === '{{') return text;
  const line = text.lastIndexOf('\n') + 1;
  return (line > 0 || lineStart) && text.slice(line).trim() === '' ? text.slice(0, line) : text;
}

function nextTag(source: string, from: number): number {
  for (let at = source.indexOf('{', from); at >= 0; at = source.indexOf('{', at + 1)) {
    const next = source[at + 1];
    if (next === '%' || next === '{' || next === '#') return at;
  }
  return source.length;
}

function readTag(source: string, start: number): Tag {
  const opener = source.slice(start, start + 2) as Opener;
  const closer = CLOSERS[opener];
  const sign = source[start + 2] ?? '';
  const before = sign === '-' || (sign === '+' && opener !== '{{') ? sign : '';
  const from = start + 2 + before.length;
  const close = opener === '{#' ? source.indexOf(closer, from) : findClose(source, from, closer);
  if (close < 0) throw new SyntaxError(`"${opener}" at index ${start} is not closed with "${closer}"`);
  const last = source[close - 1] ?? '';
  const after = close > from && (last === '-' || (last === '+' && opener !== '{{')) ? last : '';
  return { opener, body: source.slice(from, close - after.length), before, after, end: close + 2 };
}

/** The closing mark, outside of strings and, for `}}`, outside of braces. */
function findClose(source: string, from: number, closer: string): number {
  let depth = 0;
  for (let at = from; at < source.length; at++) {
    const char = source[at]!;
    if (char === '"' || char === "'") {
      for (at++; at < source.length && source[at] !== char; at++) if (source[at] === '\\') at++;
    } else if (char === '{') {
      depth++;
    } else if (source.startsWith(closer, at) && (closer === '%}' || depth === 0)) {
      return at;
    } else if (char === '}') {
      depth--;
    }
  }
  return -1;
}

/** Where the text after a tag begins; `trim` is trim_blocks. */
function skipAfter(source: string, tag: Tag, trim: boolean): number {
  let at = tag.end;
  if (tag.after === '-') {
    while (at < source.length && blank.test(source[at]!)) at++;
  } else if (trim && tag.after === '' && tag.opener !== '{{' && source[at] === '\n') {
    at++;
  }
  return at;
}

function readRaw(source: string, begin: Tag): { content: string; end: number } {
  const from = skipAfter(source, begin, false); // jinja2 does not trim after `raw`
  const close = /\{%([-+]?)\s*endraw\s*([-+]?)%\}/g;
  close.lastIndex = from;
  const match = close.exec(source);
  if (match === null) throw new SyntaxError(`"raw" at index ${begin.end} is not closed with "endraw"`);
  const tag: Tag = { opener: '{%', body: 'endraw', before: match[1]!, after: match[2]!, end: close.lastIndex };
  const content = stripEnd(source.slice(from, match.index), tag, source[from - 1] === '\n');
  return { content, end: skipAfter(source, tag, true) };
}
