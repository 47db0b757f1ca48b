// The documents of a source: lines of JSON (prompt and answer, chat messages, text) or plain text, plain or gzipped, as
// token ids of which some are scored. Does not own files of tokens (token-file.ts) or batches (sequences.ts).
import { streamNamedFile } from '@relufy/checkpoint/node';
import { decodeText, LineSplitter, RelufyError, show } from '@relufy/tensor';
import type { ChatMessage, Tokenizer } from '@relufy/tokenizer';
import type { DataSource } from '../config.js';

export interface Document {
  readonly ids: readonly number[];
  /** 1: scored as a next token. */
  readonly mask: readonly (0 | 1)[];
}

/** @throws RelufyError `io` for a file that cannot be read, `input` for a line that is not what it should be. */
export async function* readDocuments(
  source: DataSource,
  tokenizer: Tokenizer,
  /** Hears how many bytes of the file were read. */
  onRead?: (bytes: number) => void,
): AsyncGenerator<Document> {
  if (source.format === 'text') {
    for await (const text of readTexts(source, onRead)) yield plainDocument(text, tokenizer);
    return;
  }
  let line = 0;
  for await (const text of readLines(source.path, onRead)) {
    line++;
    if (text.trim() === '') continue;
    const where = `${source.path} line ${line}`;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new RelufyError('input', `${where}: expected JSON, got ${show(text.slice(0, 40))}.`, { cause });
    }
    yield jsonDocument(where, value, source, tokenizer);
  }
}

/** More characters than a document has; a text has an end in JavaScript, and says nothing useful when it is reached. */
const longest = 1 << 28;

function refuseLonger(path: string, what: string, length: number, remedy: string): void {
  if (length > longest)
    throw new RelufyError('input', `${path}: expected ${what} of at most ${longest} characters, got more. ${remedy}`);
}

type OnRead = ((bytes: number) => void) | undefined;

async function* readTexts({ path, separator }: DataSource, onRead: OnRead): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of decodeText(path, openData(path, onRead))) {
    rest += chunk;
    if (separator !== undefined) {
      const documents = rest.split(separator);
      rest = documents.pop() as string;
      for (const document of documents) if (document.trim() !== '') yield document.trim();
    }
    refuseLonger(path, 'documents', rest.length, 'Give the separator between them.');
  }
  if (rest.trim() !== '') yield separator === undefined ? rest : rest.trim();
}

async function* readLines(path: string, onRead: OnRead): AsyncGenerator<string> {
  const splitter = new LineSplitter();
  for await (const chunk of decodeText(path, openData(path, onRead))) {
    yield* splitter.push(chunk);
    refuseLonger(path, 'lines', splitter.pending, 'End each document with a line feed.');
  }
  yield* splitter.flush();
}

function openData(path: string, onRead: OnRead): AsyncGenerator<Uint8Array> {
  const refuse = (got: string, cause: unknown) =>
    new RelufyError('io', `${path}: expected readable data, got ${got}. Check the file.`, { cause });
  return streamNamedFile(path, { gzip: path.endsWith('.gz'), refuse, onRead });
}

/** A text by itself: what the tokenizer puts around it, and the end of a text where it has one. */
function plainDocument(text: string, tokenizer: Tokenizer): Document {
  const ids = tokenizer.encode(text);
  if (tokenizer.eosId !== undefined && ids.at(-1) !== tokenizer.eosId) ids.push(tokenizer.eosId);
  return { ids, mask: ids.map(() => 1) };
}

function jsonDocument(where: string, value: unknown, source: DataSource, tokenizer: Tokenizer): Document {
  const record = (typeof value === 'object' && value !== null ? value : {}) as Record<string, unknown>;
  const { prompt, answer, messages, text } = record;
  if (typeof text === 'string') return plainDocument(text, tokenizer);
  const chat: readonly ChatMessage[] | undefined = Array.isArray(messages)
    ? (messages as readonly ChatMessage[])
    : typeof prompt === 'string' && typeof answer === 'string'
      ? [
          { role: 'user', content: prompt },
          { role: 'assistant', content: answer },
        ]
      : undefined;
  if (chat === undefined)
    throw new RelufyError(
      'input',
      `${where}: expected "prompt" and "answer", "messages" or "text", got ${show(value)}. Rename the keys.`,
    );
  const scoresAll = source.loss === 'all';
  if (!tokenizer.hasChatTemplate) {
    if (Array.isArray(messages))
      throw new RelufyError(
        'tokenizer',
        `${where}: expected a tokenizer with a chat template for messages, got none. Add one to tokenizer_config.json.`,
      );
    const own = tokenizer.encode(`${prompt}\n`);
    const answered = tokenizer.encode(answer as string, { addSpecialTokens: false });
    if (tokenizer.eosId !== undefined) answered.push(tokenizer.eosId);
    return join([
      { ids: own, scored: scoresAll },
      { ids: answered, scored: true },
    ]);
  }
  return chatDocument(where, chat, scoresAll, tokenizer);
}

/**
 * A chat through its template. What a model is given and what it answers are encoded apart, as they come when it
 * generates: no token reaches across.
 */
function chatDocument(
  where: string,
  messages: readonly ChatMessage[],
  scoresAll: boolean,
  tokenizer: Tokenizer,
): Document {
  const segments: { ids: number[]; scored: boolean }[] = [];
  let written = '';
  const add = (text: string, scored: boolean) => {
    if (!text.startsWith(written))
      throw new RelufyError(
        'tokenizer',
        `${where}: expected a chat template that only appends, got one that changes earlier messages. Give "text" instead.`,
      );
    segments.push({ ids: tokenizer.encode(text.slice(written.length), { addSpecialTokens: false }), scored });
    written = text;
  };
  messages.forEach((message, i) => {
    if (message.role !== 'assistant') return;
    add(tokenizer.applyChatTemplate(messages.slice(0, i), { addGenerationPrompt: true }), scoresAll);
    add(tokenizer.applyChatTemplate(messages.slice(0, i + 1)), true);
  });
  if (segments.length === 0) throw new RelufyError('input', `${where}: expected a message of the assistant, got none.`);
  return join(segments);
}

function join(segments: readonly { readonly ids: readonly number[]; readonly scored: boolean }[]): Document {
  return {
    ids: segments.flatMap(({ ids }) => ids),
    mask: segments.flatMap(({ ids, scored }) => ids.map((): 0 | 1 => (scored ? 1 : 0))),
  };
}
