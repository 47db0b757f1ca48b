// From the texts of a model's tokenizer files to checked, ready parts of a Tokenizer.
// Every complaint about a file is made here or in the reader that it calls, so nothing can go wrong later but the input.
// Encoding and decoding themselves are tokenizer.ts.
import { RelufyError, show } from '@relufy/tensor';
import { type AddedToken, readAddedToken } from './added-tokens.js';
import { BpeModel, MAX_IDS, type Model, readVocab } from './bpe.js';
import { type ChatTemplates, readChatTemplates } from './chat-templates.js';
import { type Decoder, readDecoder } from './decoder.js';
import { gpt2Definition } from './gpt2.js';
import { Fields, malformed, parseObject, type Source } from './json.js';
import { type Normalize, readNormalizer } from './normalizer.js';
import { readUnigram, readWordPiece } from './piece-models.js';
import { type Frame, readPostProcessor } from './post-processor.js';
import { type PreTokenize, readPreTokenizer } from './pre-tokenizer.js';
import { readAddedTokensDecoder, readSpecialTokens, type SpecialTokens } from './special-tokens.js';

/** Stages that a text goes through, one after the other; files have less than ten. */
const MOST_STAGES = 64;

/** Each stage costs what the text costs, and a small file has room for thousands. */
function checkStages(fields: Fields): void {
  let count = 0;
  const visit = (stage: Fields): void => {
    if (++count > MOST_STAGES)
      throw malformed(fields.source, `"${fields.path.slice(0, -1)}": expected at most ${MOST_STAGES} stages, got more`);
    for (const key of ['normalizers', 'pretokenizers', 'decoders', 'processors'])
      if (stage.get(key) !== undefined) for (const inner of stage.list(key)) visit(inner);
  };
  visit(fields);
}

/** The texts of a model's tokenizer files. Give what the model has; nothing is read from a disk or a server. */
export interface TokenizerFiles {
  /** How error messages name the tokenizer, for example the model's hub id. */
  readonly name: string;
  /** `tokenizer.json`; without it `vocabJson` and `mergesTxt` are needed. */
  readonly tokenizerJson?: string | undefined;
  /** `tokenizer_config.json`. */
  readonly tokenizerConfig?: string | undefined;
  /** `vocab.json` of a GPT-2 or OPT checkpoint. */
  readonly vocabJson?: string | undefined;
  /** `merges.txt` of a GPT-2 or OPT checkpoint. */
  readonly mergesTxt?: string | undefined;
  /** `added_tokens.json`, which older checkpoints have beside vocab.json; tokenizer.json holds its own. */
  readonly addedTokensJson?: string | undefined;
  /** `special_tokens_map.json`. */
  readonly specialTokensMap?: string | undefined;
  /** `chat_template.jinja`. */
  readonly chatTemplateJinja?: string | undefined;
  /** Puts the BOS token first, or not, whatever the files say. */
  readonly addBosToken?: boolean | undefined;
}

export interface Definition {
  readonly name: string;
  readonly model: Model;
  readonly normalize: Normalize;
  readonly preTokenize: PreTokenize;
  readonly frame: Frame;
  readonly decoder: Decoder;
  readonly cleanUp: boolean;
  readonly addedTokens: readonly AddedToken[];
  /** Token texts by id; ids without a token are holes. */
  readonly tokens: readonly (string | undefined)[];
  readonly special: SpecialTokens;
  readonly chatTemplates: ChatTemplates;
  /** `response_template` of tokenizer_config.json, as it stands. */
  readonly responseTemplate: unknown;
}

export function readDefinition(files: TokenizerFiles): Definition {
  const { name } = files;
  const config = optionalFile(files.tokenizerConfig, { name, file: 'tokenizer_config.json' });
  const map = optionalFile(files.specialTokensMap, { name, file: 'special_tokens_map.json' });
  const root = readRoot(files, config);
  const { type, model } = readModel(root.fields('model'));
  const named = [config, map].filter((fields) => fields !== undefined);
  if (files.tokenizerJson === undefined) named.push(gpt2Specials(name, model));
  const special = readSpecialTokens(named);
  const tokens: (string | undefined)[] = [];
  for (const [token, id] of model.vocab) tokens[id] = token;
  const addedTokens = readAddedTokens(root, config, special, model, tokens, files);
  for (const token of addedTokens) tokens[token.id] = token.content;

  const section = <T>(key: string, read: (fields: Fields) => T, without: T): T => {
    const fields = root.optional(key);
    if (fields === undefined) return without;
    checkStages(fields);
    return read(fields);
  };
  const frame = section<Frame>('post_processor', readPostProcessor, { before: [], after: [] });
  for (const id of [...frame.before, ...frame.after]) {
    if (tokens[id] === undefined) {
      throw malformed(root.source, `"post_processor" adds the id ${id}, which is not in the vocabulary`);
    }
  }
  return {
    name,
    model,
    normalize: section<Normalize>('normalizer', readNormalizer, (text) => text),
    preTokenize: section<PreTokenize>('pre_tokenizer', readPreTokenizer, (pieces) => pieces),
    frame: framed(frame, files, config, special, tokens),
    decoder: section<Decoder>('decoder', readDecoder, readDecoder(undefined)),
    // transformers ignores the setting for BPE, where it would take away spaces that the text has.
    cleanUp: type !== 'BPE' && (config?.boolean('clean_up_tokenization_spaces', false) ?? false),
    addedTokens,
    tokens,
    special,
    chatTemplates: readChatTemplates(name, files.chatTemplateJinja, config),
    responseTemplate: config?.get('response_template'),
  };
}

function optionalFile(text: string | undefined, source: Source): Fields | undefined {
  return text === undefined ? undefined : new Fields(parseObject(text, source), source);
}

function readRoot(files: TokenizerFiles, config: Fields | undefined): Fields {
  const { name, tokenizerJson, vocabJson, mergesTxt } = files;
  if (tokenizerJson !== undefined) {
    const source = { name, file: 'tokenizer.json' };
    return new Fields(parseObject(tokenizerJson, source), source);
  }
  if (vocabJson === undefined || mergesTxt === undefined) {
    const got = vocabJson !== undefined ? 'only vocab.json' : mergesTxt !== undefined ? 'only merges.txt' : 'neither';
    throw new RelufyError(
      'tokenizer',
      `tokenizer ${show(name)}: expected tokenizer.json, or vocab.json and merges.txt, got ${got}. Add the missing file.`,
    );
  }
  const prefixSpace = config?.boolean('add_prefix_space', false) ?? false;
  return new Fields(gpt2Definition(name, vocabJson, mergesTxt, prefixSpace), {
    name,
    file: 'vocab.json and merges.txt',
  });
}

function readModel(fields: Fields): { type: 'BPE' | 'WordPiece' | 'Unigram'; model: Model } {
  // Files from before 2021 do not name the type; merges tell that it is BPE.
  const untyped = fields.get('merges') === undefined ? undefined : 'BPE';
  const type = fields.choice('type', ['BPE', 'WordPiece', 'Unigram'], untyped);
  if (type === 'Unigram') return { type, model: readUnigram(fields) };
  if (type === 'WordPiece') return { type, model: readWordPiece(fields) };
  return { type, model: new BpeModel(fields, readVocab(fields)) };
}

/** What GPT-2's own tokenizer says where no file does: `<|endoftext|>`, if the vocabulary has it. */
function gpt2Specials(name: string, model: Model): Fields {
  const token = '<|endoftext|>';
  const roles = model.vocab.has(token) ? { bos_token: token, eos_token: token, unk_token: token } : {};
  return new Fields(roles, { name, file: 'vocab.json' });
}

function readAddedTokens(
  root: Fields,
  config: Fields | undefined,
  special: SpecialTokens,
  model: Model,
  tokens: readonly (string | undefined)[],
  files: TokenizerFiles,
): AddedToken[] {
  const byContent = new Map<string, AddedToken>();
  const contentOf = new Map<number, string>();
  const add = (token: AddedToken, source: Source): void => {
    // Where the model has the token already, its id counts, as in Rust.
    const id = model.vocab.get(token.content) ?? token.id;
    if (id >= MAX_IDS) throw malformed(source, `gives added token ${show(token.content)} the id ${id}, too high`);
    const owner = contentOf.get(id) ?? tokens[id];
    if (owner !== undefined && owner !== token.content) {
      throw malformed(source, `gives added token ${show(token.content)} the id ${id} of ${show(owner)}`);
    }
    contentOf.set(id, token.content);
    byContent.set(token.content, { ...token, id });
  };
  if (root.get('added_tokens') !== undefined) {
    for (const fields of root.list('added_tokens')) add(readAddedToken(fields, fields.count('id')), root.source);
  }
  for (const token of config === undefined ? [] : readAddedTokensDecoder(config)) {
    if (!byContent.has(token.content)) add(token, config!.source);
  }
  const legacy = files.tokenizerJson === undefined ? files.addedTokensJson : undefined;
  const table = optionalFile(legacy, { name: files.name, file: 'added_tokens.json' });
  for (const content of table === undefined ? [] : Object.keys(table.object)) {
    const id = table!.count(content);
    if (content === '') throw table!.fail(content, 'tokens that are not empty as keys');
    if (byContent.has(content)) continue;
    const isSpecial = special.named.has(content);
    const flags = { special: isSpecial, normalized: !isSpecial, singleWord: false, lstrip: false, rstrip: false };
    add({ id, content, ...flags }, table!.source);
  }
  // A named special token of the vocabulary is found in text even where no list of added tokens has it.
  for (const content of special.named) {
    const id = model.vocab.get(content);
    if (id === undefined || byContent.has(content)) continue;
    const flags = { special: true, normalized: false, singleWord: false, lstrip: false, rstrip: false };
    add({ id, content, ...flags }, root.source);
  }
  return [...byContent.values()];
}

/** Applies `add_bos_token` and `add_eos_token`: the call's argument, then tokenizer_config.json, then the frame. */
function framed(
  frame: Frame,
  files: TokenizerFiles,
  config: Fields | undefined,
  special: SpecialTokens,
  tokens: readonly (string | undefined)[],
): Frame {
  const idOf = (role: 'bos_token' | 'eos_token'): number | undefined => {
    const content = special.roles.get(role);
    const id = content === undefined ? -1 : tokens.indexOf(content);
    return id < 0 ? undefined : id;
  };
  const side = (want: boolean | undefined, id: number | undefined, asIs: readonly number[]): readonly number[] => {
    if (want === undefined) return asIs;
    return want && id !== undefined ? [id] : [];
  };
  const bos = idOf('bos_token') ?? frame.before[0];
  if (files.addBosToken === true && bos === undefined) {
    throw new RelufyError(
      'tokenizer',
      `tokenizer ${show(files.name)}: addBosToken is true, but no file names a bos_token. Leave the option out.`,
    );
  }
  const addBos = files.addBosToken ?? config?.boolean('add_bos_token', undefined);
  const addEos = config?.boolean('add_eos_token', undefined);
  return { before: side(addBos, bos, frame.before), after: side(addEos, idOf('eos_token'), frame.after) };
}
