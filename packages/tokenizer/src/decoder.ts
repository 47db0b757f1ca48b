// Decoders: how tokens become text, one token at a time. `decode` and the stream run the very same stages, so a stream
// always adds up to the decoded whole; each stage holds back only what a later token can still change.
// Not @huggingface/tokenizers' decoders: they need all tokens at once, drop a byte order mark, write one U+FFFD where
// Rust writes one per byte of a broken run, strip one space where Rust's Metaspace strips them all, and spell added
// tokens out where Rust maps their characters to bytes. The text stages that follow a Fuse are in text-stages.ts.
import { fromByteChars } from './byte-level.js';
import { type Fields, malformed } from './json.js';
import { readPattern, replaceEvery } from './regex.js';
import { cleanUp, replaceText, type Sink, type Stage, stripText } from './text-stages.js';

export interface Decoder {
  /** A fresh chain of stages that ends in `sink`. */
  open(sink: Sink): Sink;
  /** The bytes of one token away from its neighbours. */
  bytesOf(token: string): Uint8Array;
}

const types = [
  'Sequence',
  'ByteLevel',
  'Replace',
  'ByteFallback',
  'Fuse',
  'Strip',
  'Metaspace',
  'WordPiece',
  'BPEDecoder',
] as const;

const encoder = new TextEncoder();
// Rust keeps a byte order mark, and so must we.
const lossy = new TextDecoder('utf-8', { ignoreBOM: true });
const strict = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true });

/** `fields` undefined: a file without a decoder, whose tokens Rust joins with spaces. */
export function readDecoder(fields: Fields | undefined): Decoder {
  const chain = new Chain();
  if (fields === undefined) chain.stages.push(joinWithSpaces);
  else chain.read(fields);
  return {
    open: (sink) => chain.stages.reduceRight((next, stage) => stage(next), sink),
    bytesOf: chain.bytesOf,
  };
}

/** The same decoder with `clean_up_tokenization_spaces` after it. */
export function withCleanUp(decoder: Decoder): Decoder {
  return { open: (sink) => decoder.open(cleanUp(sink)), bytesOf: decoder.bytesOf };
}

class Chain {
  readonly stages: Stage[] = [];
  bytesOf = (token: string): Uint8Array => encoder.encode(token);
  /** After Fuse or ByteLevel the pieces are chunks of one text, not tokens. */
  #fused = false;

  read(fields: Fields): void {
    const type = fields.choice('type', types);
    if (type === 'Sequence') {
      for (const inner of fields.list('decoders')) this.read(inner);
    } else if (this.#fused) {
      this.#readTextStage(type, fields);
    } else {
      this.#readTokenStage(type, fields);
    }
  }

  #readTextStage(type: (typeof types)[number], fields: Fields): void {
    if (type === 'Fuse') return;
    if (type === 'Strip') {
      this.stages.push(stripText(stripContent(fields), fields.count('start', 0), fields.count('stop', 0)));
      return;
    }
    const pattern = type === 'Replace' ? readPattern(fields) : undefined;
    if (typeof pattern !== 'string') {
      const place = `"${fields.path}type": ${type} after Fuse`;
      throw malformed(fields.source, `${place} cannot be decoded token by token`, 'Move it before Fuse.');
    }
    this.stages.push(replaceText(pattern, fields.string('content')));
  }

  #readTokenStage(type: Exclude<(typeof types)[number], 'Sequence'>, fields: Fields): void {
    switch (type) {
      case 'Fuse':
        this.#fused = true;
        return;
      case 'ByteLevel':
        this.#fused = true;
        this.stages.push(byteLevel());
        this.bytesOf = fromByteChars;
        return;
      case 'ByteFallback': {
        const before = this.bytesOf;
        this.stages.push(byteFallback);
        this.bytesOf = (token) => {
          const byte = fallbackByte(token);
          return byte === undefined ? before(token) : Uint8Array.of(byte);
        };
        return;
      }
      case 'Replace': {
        const pattern = readPattern(fields);
        const content = fields.string('content');
        this.#mapTokens((token) => replaceEvery(token, pattern, content));
        return;
      }
      case 'Strip': {
        const content = stripContent(fields);
        const start = fields.count('start', 0);
        const stop = fields.count('stop', 0);
        this.stages.push(mapTokens((token) => stripToken(token, content, start, stop)));
        return;
      }
      case 'Metaspace':
        this.#readMetaspace(fields);
        return;
      case 'WordPiece': {
        const prefix = fields.string('prefix', '##');
        this.stages.push(wordPiece(prefix, fields.boolean('cleanup', true)));
        return;
      }
      case 'BPEDecoder':
        this.stages.push(endOfWord(fields.string('suffix', '</w>')));
        return;
    }
  }

  #mapTokens(map: (token: string) => string): void {
    const before = this.bytesOf;
    this.stages.push(mapTokens(map));
    this.bytesOf = (token) => before(map(token));
  }

  #readMetaspace(fields: Fields): void {
    const mark = fields.string('replacement', '▁');
    if (Array.from(mark).length !== 1) throw fields.fail('replacement', 'one character');
    const legacy = fields.boolean('add_prefix_space', true) ? 'always' : 'never';
    const scheme = fields.choice('prepend_scheme', ['always', 'first', 'never'], legacy);
    this.bytesOf = (token) => encoder.encode(token.replaceAll(mark, ' '));
    this.stages.push(
      // Rust drops every mark of the first token, not only the leading one.
      indexed((token, i) => token.replaceAll(mark, i === 0 && scheme !== 'never' ? '' : ' ')),
    );
  }
}

function stripContent(fields: Fields): string {
  const content = fields.string('content');
  if (Array.from(content).length !== 1) throw fields.fail('content', 'one character');
  return content;
}

function stripToken(token: string, content: string, start: number, stop: number): string {
  let text = token;
  for (let i = 0; i < start && text.startsWith(content); i++) text = text.slice(content.length);
  for (let i = 0; i < stop && text.endsWith(content); i++) text = text.slice(0, -content.length);
  return text;
}

function mapTokens(map: (token: string) => string): Stage {
  return (next) => ({ push: (token) => next.push(map(token)), end: () => next.end() });
}

function indexed(map: (token: string, index: number) => string): Stage {
  return (next) => {
    let index = 0;
    return { push: (token) => next.push(map(token, index++)), end: () => next.end() };
  };
}

const joinWithSpaces = indexed((token, i) => (i === 0 ? token : ` ${token}`));

function wordPiece(prefix: string, clean: boolean): Stage {
  const join = indexed((token, i) => {
    if (i === 0) return token;
    return token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
  });
  if (!clean) return join;
  // Rust cleans each token by itself.
  return (next) =>
    join({
      push: (token) => {
        const cleaner = cleanUp({ push: (text) => next.push(text), end: () => {} });
        cleaner.push(token);
        cleaner.end();
      },
      end: () => next.end(),
    });
}

/** The word-end mark is a space, except on the last token; so one token always waits. */
function endOfWord(suffix: string): Stage {
  return (next) => {
    let waiting: string | undefined;
    return {
      push: (token) => {
        if (waiting !== undefined) next.push(replaceEvery(waiting, suffix, ' '));
        waiting = token;
      },
      end: () => {
        if (waiting !== undefined) next.push(replaceEvery(waiting, suffix, ''));
        next.end();
      },
    };
  };
}

function fallbackByte(token: string): number | undefined {
  const match = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
  return match === null ? undefined : Number.parseInt(match[1]!, 16);
}

/**
 * `<0xE6>` tokens are bytes. A run of them is one text if all of it is UTF-8, and otherwise one U+FFFD for each byte,
 * so nothing of a run can be given out before a token that is no byte ends it.
 */
const byteFallback: Stage = (next) => {
  let run: number[] = [];
  const endRun = (): void => {
    if (run.length === 0) return;
    let text: string;
    try {
      text = strict.decode(Uint8Array.from(run));
    } catch {
      text = '\ufffd'.repeat(run.length);
    }
    run = [];
    next.push(text);
  };
  return {
    push: (token) => {
      const byte = fallbackByte(token);
      if (byte !== undefined) {
        run.push(byte);
        return;
      }
      endRun();
      next.push(token);
    },
    end: () => {
      endRun();
      next.end();
    },
  };
};

/** GPT-2's byte characters: the bytes of all tokens are one UTF-8 text, read with replacement. */
function byteLevel(): Stage {
  // Most tokens are whole characters; those are looked up. At most one entry for each token of the vocabulary.
  const known = new Map<string, { readonly bytes: Uint8Array; readonly text: string | undefined }>();
  const lookUp = (token: string) => {
    let entry = known.get(token);
    if (entry === undefined) {
      const bytes = fromByteChars(token);
      entry = { bytes, text: wholeText(bytes) };
      known.set(token, entry);
    }
    return entry;
  };
  return (next) => {
    let pending: number[] = []; // the start of a code point
    return {
      push: (token) => {
        const { bytes, text } = lookUp(token);
        if (pending.length === 0 && text !== undefined) {
          next.push(text);
          return;
        }
        const all = Uint8Array.from([...pending, ...bytes]);
        const whole = all.length - incompleteTail(all);
        pending = Array.from(all.subarray(whole));
        if (whole > 0) next.push(lossy.decode(all.subarray(0, whole)));
      },
      end: () => {
        if (pending.length > 0) next.push(lossy.decode(Uint8Array.from(pending)));
        pending = [];
        next.end();
      },
    };
  };
}

function wholeText(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * How many bytes at the end may be the start of a longer code point. Cutting before a lead byte never changes what a
 * replacing decoder writes, as the lead byte would end any broken sequence before it.
 */
function incompleteTail(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return back < needed ? back : 0;
  }
  return 0;
}
