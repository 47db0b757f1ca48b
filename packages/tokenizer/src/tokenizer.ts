// The Tokenizer: text to ids and back, special tokens by role, and chats to ids.
// It only puts the parts of definition.ts to work; it does no I/O and keeps no state between calls but caches.
import { aSequence, RelufyError, show } from '@relufy/tensor';
import { AddedTokenSplitter } from './added-tokens.js';
import { checkChatOptions, checkDecoding, checkEncoding, checkSink, checkTokenizerFiles } from './arguments.js';
import { type ChatOptions, renderChat } from './chat.js';
import { withCleanUp } from './decoder.js';
import { type Definition, readDefinition, type TokenizerFiles } from './definition.js';
import { reason } from './json.js';
import type { ChatMessage } from './messages.js';
import type { Role } from './special-tokens.js';
import type { Sink } from './text-stages.js';

export interface EncodeOptions {
  /** Put the tokenizer's special tokens (BOS, EOS) around the text. Default true. */
  readonly addSpecialTokens?: boolean | undefined;
}

export interface DecodeOptions {
  /** Leave special tokens out of the text. Default false. */
  readonly skipSpecialTokens?: boolean | undefined;
  /**
   * Take out the space before punctuation and English contractions. Default: what tokenizer_config.json says, but
   * never for BPE, where it would damage the text.
   */
  readonly cleanUpTokenizationSpaces?: boolean | undefined;
}

/** Takes the ids of one text, in order. */
export interface IdSink {
  push(id: number): void;
  end(): void;
}

/**
 * Makes a tokenizer from the texts of a model's files.
 * @throws RelufyError with code `tokenizer` if a file is malformed or says something that cannot be run, `option` for
 * anything but texts of files.
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  checkTokenizerFiles(files);
  try {
    return new Tokenizer(readDefinition(files));
  } catch (error) {
    if (RelufyError.is(error)) throw error;
    // What no check foresaw, for example a file nested so deeply that the stack overflows.
    const what = `tokenizer ${show(files.name)}: its files cannot be used (${reason(error)})`;
    throw new RelufyError('tokenizer', `${what}. Download them again.`, { cause: error });
  }
}

const loneSurrogate = /\p{Surrogate}/gu;

export class Tokenizer {
  readonly name: string;
  /** One more than the highest id that has a token. */
  readonly vocabSize: number;
  /** Ids of the special tokens: those that `skipSpecialTokens` is meant for, and that end or frame a text. */
  readonly specialIds: ReadonlySet<number>;
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  readonly unkToken: string | undefined;
  readonly padToken: string | undefined;
  readonly #definition: Definition;
  readonly #ids: Map<string, number>;
  /** What the decoder sees for an added token, by id. */
  readonly #spelled = new Map<number, string>();
  readonly #skipped = new Set<number>();
  readonly #verbatim: AddedTokenSplitter;
  readonly #normalized: AddedTokenSplitter;

  /** @internal Use `createTokenizer`. */
  constructor(definition: Definition) {
    const { addedTokens, frame, model, normalize, special, tokens } = definition;
    this.#definition = definition;
    this.name = definition.name;
    this.vocabSize = tokens.length;
    this.#ids = new Map(model.vocab);
    for (const token of addedTokens) this.#ids.set(token.content, token.id);
    this.specialIds = new Set(addedTokens.filter((token) => token.special).map((token) => token.id));
    // A BOS that only the post-processor names is one all the same.
    this.bosToken = special.roles.get('bos_token') ?? tokens[frame.before[0] ?? -1];
    this.eosToken = special.roles.get('eos_token');
    this.unkToken = special.roles.get('unk_token');
    this.padToken = special.roles.get('pad_token');

    const verbatim = addedTokens.filter((token) => !token.normalized);
    const normalized = addedTokens.filter((token) => token.normalized);
    this.#verbatim = new AddedTokenSplitter(verbatim.map((token) => [token.content, token]));
    this.#normalized = new AddedTokenSplitter(normalized.map((token) => [normalize(token.content), token]));
    // Rust 0.23 decodes a token that is looked for in normalised text as its normalised content ("▁<s>" for Llama 2),
    // and does not take that spelling for a special token. Both are kept, so that text comes out as from Python.
    const specialContents = new Set(addedTokens.filter((token) => token.special).map((token) => token.content));
    for (const token of addedTokens) {
      const spelled = token.normalized ? normalize(token.content) : token.content;
      this.#spelled.set(token.id, spelled);
      if (specialContents.has(spelled)) this.#skipped.add(token.id);
    }
  }

  get bosId(): number | undefined {
    return this.#idOf(this.bosToken);
  }

  get eosId(): number | undefined {
    return this.#idOf(this.eosToken);
  }

  get unkId(): number | undefined {
    return this.#idOf(this.unkToken);
  }

  get padId(): number | undefined {
    return this.#idOf(this.padToken);
  }

  #idOf(token: string | undefined): number | undefined {
    return token === undefined ? undefined : this.#ids.get(token);
  }

  /**
   * The ids of a text. A lone surrogate counts as U+FFFD.
   * @throws RelufyError with code `input` if `text` is not a string.
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    if (typeof text !== 'string') {
      throw this.#inputError(`cannot encode ${show(text)}, expected a string`, 'Pass the text itself.');
    }
    checkEncoding(options);
    const { frame, model, normalize, preTokenize } = this.#definition;
    const addSpecialTokens = options.addSpecialTokens ?? true;
    const ids: number[] = addSpecialTokens ? [...frame.before] : [];
    for (const outer of this.#verbatim.split(text.replaceAll(loneSurrogate, '\ufffd'))) {
      if ('id' in outer) {
        ids.push(outer.id);
        continue;
      }
      for (const section of this.#normalized.split(normalize(outer.text))) {
        if ('id' in section) {
          ids.push(section.id);
          continue;
        }
        const first = outer.start === 0 && section.start === 0;
        for (const piece of preTokenize([section.text], first)) model.encode(piece, ids);
      }
    }
    if (addSpecialTokens) for (const id of frame.after) ids.push(id);
    return ids;
  }

  /**
   * The text of ids. Ids below `vocabSize` that have no token have no text.
   * @throws RelufyError with code `input` for an id that is not a whole number from 0 to `vocabSize` - 1.
   */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    if (!aSequence.fits(ids)) throw this.#inputError(`cannot decode ${show(ids)}, expected a list of ids`, badId);
    const pieces: string[] = [];
    const sink = this.openDecoder({ push: (text) => pieces.push(text), end: () => {} }, options);
    let index = 0;
    for (const id of ids) {
      if (id >= this.vocabSize) {
        throw this.#inputError(`id ${show(id)} at index ${index}, expected less than ${this.vocabSize}`, badId);
      }
      sink.push(id);
      index++;
    }
    sink.end();
    return pieces.join('');
  }

  /**
   * Decoding one id at a time into `sink`; `StreamDetokenizer` is the ready-made use of it. An id from `vocabSize` on
   * has no text here, because a model with a padded embedding may choose one. `onSkipped` hears the special tokens that
   * are left out.
   */
  openDecoder(sink: Sink, options: DecodeOptions = {}, onSkipped?: (token: string) => void): IdSink {
    checkSink(sink);
    checkDecoding('decode', options);
    const { cleanUp, decoder, tokens } = this.#definition;
    const clean = options.cleanUpTokenizationSpaces ?? cleanUp;
    const skip = options.skipSpecialTokens ?? false;
    const chain = (clean ? withCleanUp(decoder) : decoder).open(sink);
    return {
      push: (id) => {
        this.#checkId(id);
        const token = this.#spelled.get(id) ?? tokens[id];
        if (skip && this.#skipped.has(id)) {
          if (token !== undefined) onSkipped?.(token);
          return;
        }
        if (token !== undefined) chain.push(token);
      },
      end: () => chain.end(),
    };
  }

  /** The bytes of one token by itself, before any leading space is stripped; empty for an id without a token. */
  tokenBytes(id: number): Uint8Array {
    this.#checkId(id);
    const token = this.#spelled.get(id) ?? this.#definition.tokens[id];
    return token === undefined ? new Uint8Array() : this.#definition.decoder.bytesOf(token);
  }

  /** The id of a token as the vocabulary spells it (`"Ġthe"`), or undefined. */
  tokenToId(token: string): number | undefined {
    if (typeof token !== 'string')
      throw this.#inputError(`token ${show(token)}, expected a text`, 'Pass its spelling.');
    return this.#ids.get(token);
  }

  /** The token of an id as the vocabulary spells it, or undefined. */
  idToToken(id: number): string | undefined {
    this.#checkId(id);
    return this.#definition.tokens[id];
  }

  get hasChatTemplate(): boolean {
    return this.#definition.chatTemplates.size > 0;
  }

  /** The model's chat templates, Jinja, by name; where there is one, it is `default`. */
  get chatTemplates(): ReadonlyMap<string, string> {
    return this.#definition.chatTemplates;
  }

  /** How an answer is taken apart, as tokenizer_config.json says it (`response_template`): unread JSON, or undefined. */
  get responseTemplate(): unknown {
    return this.#definition.responseTemplate;
  }

  /**
   * Writes a chat as the one text that the model was trained on.
   * @throws RelufyError with code `tokenizer` if the model has no chat template or it does not run, and `input` if the
   * messages are malformed or the template refuses them.
   */
  applyChatTemplate(messages: readonly ChatMessage[], options: ChatOptions = {}): string {
    checkChatOptions(options);
    const roles: Partial<Record<Role, string>> = Object.fromEntries(this.#definition.special.roles);
    if (this.bosToken !== undefined) roles.bos_token = this.bosToken;
    return renderChat(this.name, this.#definition.chatTemplates, messages, options, roles);
  }

  /** The ids of a chat. The template writes its own special tokens, so none are added: BOS is never doubled. */
  encodeChat(messages: readonly ChatMessage[], options: ChatOptions = {}): number[] {
    return this.encode(this.applyChatTemplate(messages, options), { addSpecialTokens: false });
  }

  #checkId(id: number): void {
    if (!Number.isSafeInteger(id) || id < 0)
      throw this.#inputError(`id ${show(id)}, expected a whole number from 0 on`, badId);
  }

  #inputError(what: string, remedy: string): RelufyError {
    return new RelufyError('input', `tokenizer ${show(this.name)}: ${what}. ${remedy}`);
  }
}

const badId = 'Pass ids of this tokenizer.';
