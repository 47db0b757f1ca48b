// Takes an answer apart while it is written: text, reasoning between <think> tags, and calls of tools between <tool_call>
// tags, whose arguments are handed on as they come. What may be the beginning of a tag is held back.
// Does not own ids or usage (language-model.ts).

export type AnswerPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  /** A call begins; its arguments follow, then its end. */
  | { readonly kind: 'call'; readonly name: string }
  | { readonly kind: 'arguments'; readonly text: string }
  /** `input`: the arguments, as JSON that can be read. */
  | { readonly kind: 'call-end'; readonly input: string }
  /** It broke off, or was no JSON. */
  | { readonly kind: 'call-lost' };

type State = 'text' | 'reasoning' | 'call';

const tags: Readonly<Record<State, readonly { readonly tag: string; readonly to: State }[]>> = {
  text: [
    { tag: '<think>', to: 'reasoning' },
    { tag: '<tool_call>', to: 'call' },
    // templates of thinking models open the tag themselves
    { tag: '</think>', to: 'text' },
  ],
  reasoning: [{ tag: '</think>', to: 'text' }],
  call: [{ tag: '</tool_call>', to: 'text' }],
};

export class AnswerParser {
  #state: State;
  #held = '';
  #call = new CallReader();
  /** Blank between tags is nobody's text. */
  #blank = true;
  readonly #withCalls: boolean;

  /** `thinking`: the answer begins within reasoning. */
  constructor({ withCalls, thinking }: { readonly withCalls: boolean; readonly thinking: boolean }) {
    this.#withCalls = withCalls;
    this.#state = thinking ? 'reasoning' : 'text';
  }

  push(text: string): readonly AnswerPart[] {
    this.#held += text;
    const parts: AnswerPart[] = [];
    for (;;) {
      const known = tags[this.#state].filter(({ to }) => this.#withCalls || to !== 'call');
      const found = known
        .map((one) => ({ ...one, at: this.#held.indexOf(one.tag) }))
        .filter(({ at }) => at >= 0)
        .sort((a, b) => a.at - b.at)[0];
      if (found === undefined) break;
      this.#take(this.#held.slice(0, found.at), parts);
      this.#held = this.#held.slice(found.at + found.tag.length);
      if (this.#state === 'call') parts.push(...this.#call.end());
      this.#state = found.to;
      this.#blank = true;
      if (found.to === 'call') this.#call = new CallReader();
    }
    const keep = longestTagStart(
      this.#held,
      tags[this.#state].map(({ tag }) => tag),
    );
    this.#take(this.#held.slice(0, this.#held.length - keep), parts);
    this.#held = this.#held.slice(this.#held.length - keep);
    return parts;
  }

  end(): readonly AnswerPart[] {
    const parts: AnswerPart[] = [];
    this.#take(this.#held, parts);
    this.#held = '';
    if (this.#state === 'call') parts.push(...this.#call.end());
    return parts;
  }

  #take(text: string, parts: AnswerPart[]): void {
    if (this.#state === 'call') {
      if (text !== '') parts.push(...this.#call.push(text));
      return;
    }
    const rest = this.#blank ? text.trimStart() : text;
    if (rest === '') return;
    this.#blank = false;
    parts.push({ kind: this.#state, text: rest });
  }
}

/** Letters at the end that a tag begins with. */
function longestTagStart(text: string, all: readonly string[]): number {
  let longest = 0;
  for (const tag of all)
    for (let length = Math.min(tag.length - 1, text.length); length > longest; length--)
      if (text.endsWith(tag.slice(0, length))) longest = length;
  return longest;
}

/** One call, `{"name": ..., "arguments": {...}}`: arguments are streamed where the name comes first. */
class CallReader {
  #text = '';
  #named = false;
  #from = -1;
  #sent = 0;
  #done = false;

  push(text: string): readonly AnswerPart[] {
    this.#text += text;
    const parts: AnswerPart[] = [];
    if (!this.#named) {
      const head = /^\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)/.exec(
        this.#text,
      );
      if (head === null) return parts;
      this.#named = true;
      this.#from = head[0].length;
      parts.push({ kind: 'call', name: JSON.parse(head[1] as string) as string });
    }
    if (this.#done) return parts;
    const body = this.#text.slice(this.#from);
    const end = objectEnd(body);
    const ready = end < 0 ? body.length : end;
    this.#done = end >= 0;
    if (ready > this.#sent) parts.push({ kind: 'arguments', text: body.slice(this.#sent, ready) });
    this.#sent = ready;
    return parts;
  }

  end(): readonly AnswerPart[] {
    if (this.#named) {
      const body = this.#text.slice(this.#from);
      const input = body.slice(0, Math.max(0, objectEnd(body)));
      return [isJson(input) ? { kind: 'call-end', input } : { kind: 'call-lost' }];
    }
    try {
      const { name, arguments: given, parameters } = JSON.parse(this.#text) as Record<string, unknown>;
      if (typeof name !== 'string') return [{ kind: 'call-lost' }];
      const input = typeof given === 'string' ? given : JSON.stringify(given ?? parameters ?? {});
      if (!isJson(input)) return [{ kind: 'call-lost' }];
      return [
        { kind: 'call', name },
        { kind: 'arguments', text: input },
        { kind: 'call-end', input },
      ];
    } catch {
      return [{ kind: 'call-lost' }];
    }
  }
}

/** Behind the object that a text begins with; -1: it is not whole. */
function objectEnd(text: string): number {
  let depth = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const letter = text[i];
    if (quoted) {
      if (letter === '\\') i++;
      else if (letter === '"') quoted = false;
    } else if (letter === '"') quoted = true;
    else if (letter === '{' || letter === '[') depth++;
    else if ((letter === '}' || letter === ']') && --depth === 0) return i + 1;
  }
  return -1;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
