// An answer that is either calls of tools, from its first character on, or a text that has a form, all of it: a mark of calls
// within that text, in a string of JSON, is no call. Does not own how calls are read (the parser that it hands them to).
import type { Piece } from '@relufy/models';
import type { AnswerParser, AnswerPart } from './answer-parser.js';

export class FormOrCalls implements AnswerParser {
  readonly #calls: AnswerParser;
  readonly #mark: string;
  readonly #marks: ReadonlyMap<number, string>;
  /** Pieces that came before it was known what the answer is. */
  #held: Piece[] = [];
  #begun = '';
  #is: 'form' | 'calls' | undefined;

  /** `mark`: what calls begin with; `marks`: special tokens that are no part of a piece's text. */
  constructor(calls: AnswerParser, mark: string, marks: ReadonlyMap<number, string>) {
    this.#calls = calls;
    this.#mark = mark;
    this.#marks = marks;
  }

  get hasCalls(): boolean {
    return this.#is === 'calls' && this.#calls.hasCalls;
  }

  push(piece: Piece): readonly AnswerPart[] {
    if (this.#is === 'form') return textParts(piece.text);
    if (this.#is === 'calls') return this.#calls.push(piece);
    this.#held.push(piece);
    this.#begun += piece.text + (this.#marks.get(piece.tokenId) ?? '');
    if (this.#begun.startsWith(this.#mark)) {
      this.#is = 'calls';
      return this.#held.splice(0).flatMap((held) => this.#calls.push(held));
    }
    return this.#mark.startsWith(this.#begun) ? [] : this.#asForm();
  }

  end(): readonly AnswerPart[] {
    if (this.#is === undefined) return this.#asForm();
    return this.#is === 'calls' ? this.#calls.end() : [];
  }

  #asForm(): readonly AnswerPart[] {
    this.#is = 'form';
    return textParts(
      this.#held
        .splice(0)
        .map(({ text }) => text)
        .join(''),
    );
  }
}

const textParts = (text: string): readonly AnswerPart[] => (text === '' ? [] : [{ kind: 'text', text }]);
