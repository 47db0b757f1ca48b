// The calls of an answer that is held to its form (constrained decoding), handed on while they are written: the name as soon
// as it is there, then the arguments' JSON as it comes. Only for text that is known to be such calls; whatever else a model
// writes is read when it is whole (region-parser.ts).
import type { AnswerPart } from './answer-parser.js';

/** `{"name": "f", "arguments": {`, with what stands between two calls. */
const head = /^[\s;,[]*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*/;

export class CallStream {
  readonly #newId: () => string;
  #text = '';
  /** Of the arguments that are being written; undefined between calls. */
  #depth: number | undefined;
  #quoted = false;
  #escaped = false;
  #calls = 0;

  constructor(newId: () => string) {
    this.#newId = newId;
  }

  /** How many calls have begun. */
  get calls(): number {
    return this.#calls;
  }

  push(text: string): readonly AnswerPart[] {
    const parts: AnswerPart[] = [];
    this.#text += text;
    for (;;) {
      if (this.#depth === undefined) {
        // what closes the call before
        this.#text = this.#text.replace(/^(?:[\s}\]]|\[TOOL_CALLS\])+/, '');
        const found = head.exec(this.#text);
        // the first character of the arguments has to be there: it says whether they are an object
        if (found === null || found[0].length === this.#text.length) return parts;
        this.#text = this.#text.slice(found[0].length);
        const name = JSON.parse(found[1] as string) as string;
        parts.push({ kind: 'call', call: this.#calls++, id: this.#newId(), name });
        this.#depth = 0;
      }
      const end = this.#end();
      const written = this.#text.slice(0, end.at);
      this.#text = this.#text.slice(end.at);
      if (written !== '') parts.push({ kind: 'arguments', call: this.#calls - 1, text: written });
      if (!end.isOver) return parts;
      this.#depth = undefined;
    }
  }

  /** Up to where the text belongs to the arguments, and whether they end there. */
  #end(): { readonly at: number; readonly isOver: boolean } {
    for (let at = 0; at < this.#text.length; at++) {
      const character = this.#text[at] as string;
      if (this.#escaped) this.#escaped = false;
      else if (this.#quoted) {
        if (character === '\\') this.#escaped = true;
        else if (character === '"') this.#quoted = false;
        if (!this.#quoted && this.#depth === 0) return { at: at + 1, isOver: true };
      } else if (character === '"') this.#quoted = true;
      else if (character === '{' || character === '[') this.#depth = (this.#depth as number) + 1;
      else if (character === '}' || character === ']') {
        // of a number or a word the end is what stands after it
        if (this.#depth === 0) return { at, isOver: true };
        this.#depth = (this.#depth as number) - 1;
        if (this.#depth === 0) return { at: at + 1, isOver: true };
      }
    }
    return { at: this.#text.length, isOver: false };
  }
}
