// Pre-tokenisers: how normalised text is split into the pieces that the model encodes one by one.
// @huggingface/tokenizers 0.2.0 differs from Rust here in ways that change ids: JavaScript's `\s`, `\d` and `\w` (so
// U+0085, U+FEFF, "²" and "é" split elsewhere), Split behaviours other than Isolated and Removed, Punctuation runs, and
// Metaspace without its split. Patterns still come through its Oniguruma translation (regex.ts).

import type { Pattern } from './bounded-regex.js';
import { toByteChars } from './byte-level.js';
import type { Fields } from './json.js';
import { checkGrowth, oniguruma, readPattern, withinGrowth } from './regex.js';

/** `first` is true for the section at the very start of the text, where Metaspace may prepend. */
export type PreTokenize = (pieces: string[], first: boolean) => string[];

type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';
const behaviors = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const;
const types = [
  'Sequence',
  'ByteLevel',
  'Split',
  'Digits',
  'Punctuation',
  'Metaspace',
  'Whitespace',
  'WhitespaceSplit',
  'CharDelimiterSplit',
  'BertPreTokenizer',
  'FixedLength',
] as const;

const asciiPunctuation = '!-\\/:-@\\[-`{-~';
const gpt2Pattern = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

export function readPreTokenizer(fields: Fields): PreTokenize {
  const type = fields.choice('type', types);
  switch (type) {
    case 'Sequence': {
      const steps = fields.list('pretokenizers').map(readPreTokenizer);
      return (pieces, first) =>
        withinGrowth(lengthOf(pieces), () =>
          steps.reduce((current, step) => {
            const next = step(current, first);
            checkGrowth(lengthOf(next));
            return next;
          }, pieces),
        );
    }
    case 'ByteLevel':
      return byteLevel(fields);
    case 'Split': {
      const pattern = readPattern(fields);
      const behavior = fields.choice('behavior', behaviors);
      return splitter(pattern, behavior, fields.boolean('invert', false));
    }
    case 'Digits':
      return splitter(/\p{N}/gu, fields.boolean('individual_digits', false) ? 'Isolated' : 'Contiguous');
    case 'Punctuation':
      return splitter(
        new RegExp(`[\\p{P}${asciiPunctuation}]`, 'gu'),
        fields.choice('behavior', behaviors, 'Isolated'),
      );
    case 'Metaspace':
      return metaspace(fields);
    case 'Whitespace':
      // Word characters of Rust's regex crate, which has no U+00B2 and the like as Oniguruma has.
      return splitter(
        /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu,
        'Removed',
        true,
      );
    case 'WhitespaceSplit':
      return splitter(/\p{White_Space}/gu, 'Removed');
    case 'CharDelimiterSplit':
      return splitter(fields.string('delimiter'), 'Removed');
    case 'BertPreTokenizer': {
      const words = splitter(/\p{White_Space}/gu, 'Removed');
      const marks = splitter(new RegExp(`[\\p{P}${asciiPunctuation}]`, 'gu'), 'Isolated');
      return (pieces, first) => marks(words(pieces, first), first);
    }
    case 'FixedLength': {
      const length = fields.count('length', 5);
      if (length === 0) throw fields.fail('length', 'a length from 1 on');
      return (pieces) => pieces.flatMap((piece) => fixedLength(piece, length));
    }
  }
}

const lengthOf = (pieces: readonly string[]): number => pieces.reduce((sum, piece) => sum + piece.length, 0);

function byteLevel(fields: Fields): PreTokenize {
  const prefixSpace = fields.boolean('add_prefix_space', true);
  const split = fields.boolean('use_regex', true) ? splitter(oniguruma(gpt2Pattern), 'Isolated') : undefined;
  return (pieces, first) => {
    const spaced = prefixSpace ? pieces.map((p) => (p === '' || p.startsWith(' ') ? p : ` ${p}`)) : pieces;
    const words = split === undefined ? spaced : split(spaced, first);
    return words.map(toByteChars);
  };
}

function metaspace(fields: Fields): PreTokenize {
  const mark = fields.string('replacement', '▁');
  if (Array.from(mark).length !== 1) throw fields.fail('replacement', 'one character');
  // Older files say `add_prefix_space` where newer ones say `prepend_scheme`.
  const legacy = fields.boolean('add_prefix_space', true) ? 'always' : 'never';
  const scheme = fields.choice('prepend_scheme', ['always', 'first', 'never'], legacy);
  const split = fields.boolean('split', true) ? splitter(mark, 'MergedWithNext') : undefined;
  return (pieces, first) => {
    const marked = pieces.map((piece, i) => {
      const text = piece.replaceAll(' ', () => mark);
      const prepend = scheme === 'always' || (scheme === 'first' && first && i === 0);
      return prepend && text !== '' && !text.startsWith(mark) ? mark + text : text;
    });
    return split === undefined ? marked : split(marked, first);
  };
}

function fixedLength(piece: string, length: number): string[] {
  const chars = Array.from(piece);
  const parts: string[] = [];
  for (let i = 0; i < chars.length; i += length) parts.push(chars.slice(i, i + length).join(''));
  return parts;
}

/** Rust's `NormalizedString::split`: matches and the gaps between them, joined as `behavior` says. */
function splitter(pattern: string | Pattern, behavior: Behavior, invert = false): PreTokenize {
  const matcher = typeof pattern === 'string' ? literal(pattern) : pattern;
  return (pieces) => {
    const out: string[] = [];
    for (const piece of pieces) splitPiece(piece, matcher, behavior, invert, out);
    return out;
  };
}

const literal = (text: string): RegExp => new RegExp(text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&'), 'gu');

function splitPiece(piece: string, matcher: Pattern, behavior: Behavior, invert: boolean, out: string[]): void {
  // The common case, by far: every match and every gap is a piece of its own.
  if (behavior === 'Isolated') {
    eachSpan(piece, matcher, (start, stop) => out.push(piece.slice(start, stop)));
    return;
  }
  if (behavior === 'Removed') {
    eachSpan(piece, matcher, (start, stop, matched) => {
      if (matched === invert) out.push(piece.slice(start, stop));
    });
    return;
  }
  const cuts: number[] = []; // where a new piece begins
  let previous = false;
  eachSpan(piece, matcher, (start, _stop, matched) => {
    const match = matched !== invert;
    const join =
      behavior === 'Contiguous'
        ? match === previous
        : behavior === 'MergedWithPrevious'
          ? match && !previous
          : previous && !match;
    if (!join || cuts.length === 0) cuts.push(start);
    previous = match;
  });
  cuts.forEach((start, i) => {
    out.push(piece.slice(start, cuts[i + 1] ?? piece.length));
  });
}

function eachSpan(
  piece: string,
  matcher: Pattern,
  visit: (start: number, stop: number, matched: boolean) => void,
): void {
  let done = 0;
  matcher.lastIndex = 0;
  for (let match = matcher.exec(piece); match !== null; match = matcher.exec(piece)) {
    const stop = match.index + match[0].length;
    if (done < match.index) visit(done, match.index, false);
    if (match.index < stop) visit(match.index, stop, true);
    // An empty match would be found again for ever; step over one code point.
    else matcher.lastIndex += (piece.codePointAt(stop) ?? 0) > 0xffff ? 2 : 1;
    done = stop;
  }
  if (done < piece.length) visit(done, piece.length, false);
}
