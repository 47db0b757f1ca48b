import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopMatcher } from './stop.js';
import { StreamDetokenizer, type StreamOptions } from './stream.js';
import { altered, bundled, sentencePiece } from './testing.js';
import type { Tokenizer } from './tokenizer.js';

function pieces(tokenizer: Tokenizer, ids: readonly number[], options: StreamOptions = {}): string[] {
  const stream = new StreamDetokenizer(tokenizer, options);
  return [...ids.map((id) => stream.push(id)), stream.flush()];
}

const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
const tokenizers: [string, Tokenizer][] = [
  ['byte-level', bundled()],
  ['SentencePiece', sentencePiece()],
  ['Metaspace', sentencePiece({ decoder: metaspace })],
  ['no decoder', sentencePiece({ decoder: null })],
  ['WordPiece', sentencePiece({ decoder: { type: 'WordPiece', prefix: 'h', cleanup: true } })],
  ['word ends', sentencePiece({ decoder: { type: 'BPEDecoder', suffix: '▁' } })],
  [
    'stripped at both ends',
    sentencePiece({
      decoder: {
        type: 'Sequence',
        decoders: [
          { type: 'Fuse' },
          { type: 'Replace', pattern: { String: '▁▁' }, content: '<two>' },
          { type: 'Strip', content: '▁', start: 2, stop: 2 },
        ],
      },
    }),
  ],
];

describe.each(tokenizers)('a stream of %s ids', (_name, tokenizer) => {
  it('adds up to the decoded whole', () => {
    const ids = fc.array(fc.nat({ max: tokenizer.vocabSize - 1 }), { maxLength: 30 });
    const low = fc.array(fc.nat({ max: 270 }), { maxLength: 30 }); // single bytes, for the most part
    const options = fc.record({ skipSpecialTokens: fc.boolean(), cleanUpTokenizationSpaces: fc.boolean() });
    fc.assert(
      fc.property(fc.oneof(ids, low), options, (some, how) => {
        expect(pieces(tokenizer, some, how).join('')).toBe(tokenizer.decode(some, how));
      }),
      { numRuns: 300 },
    );
  });

  it('ends at the first stop string', () => {
    const ids = fc.array(fc.nat({ max: tokenizer.vocabSize - 1 }), { maxLength: 30 });
    fc.assert(
      fc.property(ids, fc.nat(), fc.integer({ min: 1, max: 6 }), (some, at, length) => {
        const whole = tokenizer.decode(some);
        const start = whole.length === 0 ? 0 : at % whole.length;
        const stop = [whole.slice(start, start + length), 'never there'].filter((word) => word !== '');
        const stream = new StreamDetokenizer(tokenizer, { stop });
        const text = some.map((id) => stream.push(id)).join('') + stream.flush();
        const first = stop.length === 2 ? whole.indexOf(stop[0]!) : -1;
        expect(text).toBe(first < 0 ? whole : whole.slice(0, first));
        expect(stream.stopped).toBe(first < 0 ? undefined : stop[0]);
      }),
      { numRuns: 200 },
    );
  });
});

describe('what a stream holds back', () => {
  it('gives out whole characters only', () => {
    const tokenizer = bundled();
    const ids = tokenizer.encode('a😀b', { addSpecialTokens: false });
    expect(pieces(tokenizer, ids)).toEqual(['a', '', '', '', '😀', 'b', '']);
    expect(pieces(tokenizer, ids.slice(0, 3))).toEqual(['a', '', '', '\ufffd']);
  });

  it('gives out a word at once where nothing can change it', () => {
    const tokenizer = bundled();
    const ids = tokenizer.encode('Once upon a time', { addSpecialTokens: false });
    expect(pieces(tokenizer, ids)).toEqual(['Once', ' upon', ' a', ' time', '']);
  });

  it('gives out bytes when their run ends', () => {
    const tokenizer = sentencePiece();
    const ids = tokenizer.encode('é d', { addSpecialTokens: false });
    expect(pieces(tokenizer, ids)).toEqual(['', '', '', 'é ', 'd', '']);
  });

  it('cleans up spaces across tokens', () => {
    const tokenizer = altered({});
    const ids = tokenizer.encode("a , b n 't", { addSpecialTokens: false });
    expect(pieces(tokenizer, ids, { cleanUpTokenizationSpaces: true }).join('')).toBe("a, b n 't");
  });

  it('has no text for ids beyond the vocabulary', () => {
    expect(pieces(bundled(), [4096, 50_000])).toEqual(['', '', '']);
  });

  it('is silent after its end', () => {
    const tokenizer = bundled();
    const stream = new StreamDetokenizer(tokenizer, { stop: ['upon'] });
    const ids = tokenizer.encode('Once upon a time', { addSpecialTokens: false });
    expect(ids.map((id) => stream.push(id))).toEqual(['Once', ' ', '', '']);
    expect([stream.stopped, stream.flush(), stream.flush(), stream.push(ids[0]!)]).toEqual(['upon', '', '', '']);
  });

  it('costs the same however long the text is', () => {
    const tokenizer = bundled();
    const ids = tokenizer.encode('the cat, the dog. 😀 '.repeat(20_000), { addSpecialTokens: false });
    const start = performance.now();
    expect(pieces(tokenizer, ids, { stop: ['<|end|>', '\n\nUser:'] }).join('').length).toBe(21 * 20_000);
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

describe('StopMatcher', () => {
  it('holds back no more than what may become a stop string', () => {
    const matcher = new StopMatcher(['</s>', '###']);
    expect(['a<', '/', 'b#', '#', 'c', '</s', '>d'].map((piece) => matcher.push(piece))).toEqual([
      'a',
      '',
      '</b',
      '',
      '##c',
      '',
      '',
    ]);
    expect([matcher.stopped, matcher.flush()]).toEqual(['</s>', '']);
  });

  it('gives the rest at the end', () => {
    const matcher = new StopMatcher(['###']);
    expect([matcher.push('a##'), matcher.flush(), matcher.stopped]).toEqual(['a', '##', undefined]);
  });

  it('does not depend on how the text is cut', () => {
    const char = fc.constantFrom('a', 'b', 'c');
    const word = fc.string({ unit: char, minLength: 1, maxLength: 4 });
    const cut = (texts: readonly string[], words: readonly string[]) => {
      const matcher = new StopMatcher(words);
      return [texts.map((text) => matcher.push(text)).join('') + matcher.flush(), matcher.stopped];
    };
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: char, maxLength: 5 })),
        fc.array(word, { maxLength: 3 }),
        (texts, words) => {
          const whole = texts.join('');
          expect(cut(texts, words)).toEqual(cut([...whole], words));
          expect(cut([whole], words)).toEqual(cut([...whole], words));
        },
      ),
    );
  });
});

it('pieces after a prompt add up to the whole less the prompt', () => {
  for (const scheme of ['strip', 'metaspace']) {
    const tokenizer =
      scheme === 'strip'
        ? sentencePiece()
        : sentencePiece({ decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' } });
    const ids = tokenizer.encode('hello the hello', { addSpecialTokens: false });
    for (let cut = 0; cut <= ids.length; cut++) {
      const stream = new StreamDetokenizer(tokenizer, { prompt: ids.slice(0, cut) });
      const text = ids.slice(cut).map((id) => stream.push(id));
      expect([...text, stream.flush()].join('')).toBe(
        tokenizer.decode(ids).slice(tokenizer.decode(ids.slice(0, cut)).length),
      );
    }
  }
});

it('what the prompt left in the decoder is not given out', () => {
  const tokenizer = sentencePiece();
  const byte = (value: string): number => tokenizer.tokenToId(`<0x${value}>`)!;
  const stream = new StreamDetokenizer(tokenizer, { prompt: [byte('41'), byte('42')] });
  expect(stream.push(byte('43')) + stream.flush()).toBe('C');
});

it('a stop string that is a special token, or begins or ends in one, stops there', () => {
  const tokenizer = sentencePiece();
  const run = (stop: string, ids: number[]): [string, string | undefined] => {
    const stream = new StreamDetokenizer(tokenizer, { stop: [stop], skipSpecialTokens: true });
    const text = ids.map((id) => stream.push(id)).join('') + stream.flush();
    return [text, stream.stopped];
  };
  const [hello, the, end] = ['hello', '▁the', '</s>'].map((token) => tokenizer.tokenToId(token)!) as [
    number,
    number,
    number,
  ];
  expect(run('</s>', [hello, end, the])).toEqual(['hello', '</s>']);
  expect(run('lo</s>', [hello, end, the])).toEqual(['hel', 'lo</s>']);
  expect(run('</s> th', [hello, end, the])).toEqual(['hello', '</s> th']);
  expect(run('</s>!', [hello, end, the])).toEqual(['hello the', undefined]);
});
