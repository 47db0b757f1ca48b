// Normalisers: what happens to text between finding added tokens and splitting it into pieces.
// The Unicode forms, BertNormalizer and Precompiled are @huggingface/tokenizers'. The others are here because the
// library differs from Rust: its Strip trims U+FEFF, its Lowercase knows final sigma (Rust's goes letter by letter), its
// Replace reads `$1` in the content, its Prepend prepends to nothing, and it has no ByteLevel and no Nmt.
import { toByteChars } from './byte-level.js';
import { withSortedMarks } from './combining-marks.js';
import type { Fields } from './json.js';
import {
  BertNormalizer,
  NFCNormalizer,
  NFDNormalizer,
  NFKCNormalizer,
  NFKDNormalizer,
  PrecompiledNormalizer,
} from './library.js';
import { checkGrowth, readPattern, replaceEvery, withinGrowth } from './regex.js';

export type Normalize = (text: string) => string;

const types = [
  'Sequence',
  'Prepend',
  'Replace',
  'Strip',
  'StripAccents',
  'Lowercase',
  'ByteLevel',
  'NFC',
  'NFD',
  'NFKC',
  'NFKD',
  'BertNormalizer',
  'Precompiled',
] as const;

const libraryForms = {
  NFC: NFCNormalizer,
  NFD: NFDNormalizer,
  NFKC: NFKCNormalizer,
  NFKD: NFKDNormalizer,
  BertNormalizer,
  Precompiled: PrecompiledNormalizer,
} as const;

/** The file's steps, which may not multiply the text. */
export function readNormalizer(fields: Fields): Normalize {
  const normalize = readStep(fields);
  return (text) => withinGrowth(text.length, () => normalize(text));
}

function readStep(fields: Fields): Normalize {
  const type = fields.choice('type', types);
  switch (type) {
    case 'Sequence': {
      const steps = fields.list('normalizers').map(readStep);
      return (text) =>
        steps.reduce((current, step) => {
          const next = step(current);
          checkGrowth(next.length);
          return next;
        }, text);
    }
    case 'Prepend': {
      const prefix = fields.string('prepend');
      return (text) => (text === '' ? '' : prefix + text);
    }
    case 'Replace': {
      const pattern = readPattern(fields);
      const content = fields.string('content');
      return (text) => replaceEvery(text, pattern, content);
    }
    case 'Strip': {
      const left = fields.boolean('strip_left', true);
      const right = fields.boolean('strip_right', true);
      return (text) => {
        const start = left ? /^\p{White_Space}*/u.exec(text)![0].length : 0;
        let stop = text.length;
        while (right && stop > start && /\p{White_Space}/u.test(text[stop - 1]!)) stop--;
        return text.slice(start, stop);
      };
    }
    case 'StripAccents':
      return (text) => text.replaceAll(/\p{M}/gu, '');
    case 'Lowercase':
      return (text) => text.replaceAll(/\p{Changes_When_Lowercased}/gu, (char) => char.toLowerCase());
    case 'ByteLevel':
      return toByteChars;
    default: {
      const normalizer = new libraryForms[type](fields.object);
      return (text) => normalizer.normalize(type === 'Precompiled' ? text : withSortedMarks(text));
    }
  }
}
