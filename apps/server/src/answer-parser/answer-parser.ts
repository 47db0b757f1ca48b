// What takes an answer apart while it is written: text for the user, reasoning, calls of tools with their arguments. One
// interface for every model's format. Does not own any format (the files beside it).
import type { Piece } from '@relufy/models';

export type AnswerPart =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'reasoning'; readonly text: string }
  /** A call begins; its arguments follow. `call` counts from 0 within the answer. */
  | { readonly kind: 'call'; readonly call: number; readonly id: string; readonly name: string }
  /** A part of the JSON of a call's arguments. */
  | { readonly kind: 'arguments'; readonly call: number; readonly text: string };

export interface AnswerParser {
  push(piece: Piece): readonly AnswerPart[];
  /** What was held back, when the answer has ended. */
  end(): readonly AnswerPart[];
  /** A call has been heard. */
  readonly hasCalls: boolean;
}
