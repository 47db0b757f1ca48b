// Generation: the loop from a prompt's ids to pieces of text, and the stream that hands them out.
// Owns options, stopping, and the stream. Does not own a step (model.ts runs it) or the choice of a token (sampling.ts).
import {
  aBoolean,
  anObject,
  anything,
  aSignal,
  aText,
  aWhole,
  checkOptions,
  either,
  listOf,
  type OptionRules,
  oneOf,
  RelufyError,
} from '@relufy/tensor';
import { type ChatMessage, StreamDetokenizer, type Tokenizer } from '@relufy/tokenizer';
import type { Constraint, ConstraintOptions } from '../constrained/constraint.js';
import { toolCallFormats } from '../constrained/tool-calls.js';
import type { ModelStats } from '../running/statistics.js';
import type { Advanced, StepActivity } from '../running/step-activity.js';
import type { ReuseOptions } from '../sparsity/reuse.js';
import type { Speculate } from '../speculation/options.js';
import { createSampler, type SamplingOptions, samplingRules, type TokenLogprob, tokenLogprobs } from './sampling.js';

export interface GenerateOptions extends SamplingOptions, ConstraintOptions {
  /** Default: as many as the context holds. */
  readonly maxNewTokens?: number;
  /** Strings that end the answer; they are not part of it. */
  readonly stop?: string | readonly string[];
  /** Token ids that end the answer. Default: the model's. `[]` never stops early. */
  readonly stopTokenIds?: readonly number[];
  /** Log-probabilities of the tokens: true, or how many alternatives to tell as well. */
  readonly logprobs?: boolean | number;
  readonly signal?: AbortSignal;
  /** What an abort does: `throw` the signal's reason (default), or `return` what there is. */
  readonly onAbort?: 'throw' | 'return';
  /**
   * After the prompt, `interval` tokens mark the neurons that they use, and the next `interval` compute none but those. It
   * changes answers, and later prompts compute anew what they have of one. The model has to be loaded with `reuse`. Default:
   * as its sparsity plan says.
   */
  readonly reuse?: ReuseOptions;
  /**
   * Draft tokens and verify several in one step: the same answer, token by token, in fewer steps. `prompt` drafts from the
   * text, `plan` and `reuse` by the model itself in a sparser way, a smaller model of the same vocabulary by itself. How many is
   * decided by what was measured, and none where drafting does not pay; beside other generations none are. Default: as loaded.
   */
  readonly speculate?: Speculate;
  /** Prompts given as text: put the tokenizer's special tokens around them. Default true. */
  readonly addSpecialTokens?: boolean;
  /** `dense`: read every weight, in a model that would skip some: the same bits, for comparison. Default: as loaded. */
  readonly sparsity?: 'exact' | 'dense';
  /**
   * Tell of each token what its step read: `piece.activity`. Costs a list of neurons a layer, kept for the rows of a step:
   * 4 bytes x neurons x 128.
   */
  readonly activity?: boolean;
}

/** What each option has to be, for a vocabulary of that size. */
function generateRules(vocabSize: number): OptionRules<GenerateOptions> {
  return {
    maxNewTokens: aWhole(0),
    stop: either('a text or a list of texts', aText, listOf(aText, '')),
    stopTokenIds: listOf(aWhole(0, vocabSize - 1), `token ids from 0 to ${vocabSize - 1}`),
    logprobs: either('true, false or a whole number >= 0', aBoolean, aWhole(0)),
    signal: aSignal,
    onAbort: oneOf('throw', 'return'),
    reuse: anything, // reuse.ts looks into it
    speculate: anything, // speculation/options.ts looks into it
    addSpecialTokens: aBoolean,
    sparsity: oneOf('exact', 'dense'),
    activity: aBoolean,
    jsonSchema: either('a schema: true, false or an object', aBoolean, anObject),
    grammar: aText,
    tools: { expected: 'a list of { function: { name, parameters } }', fits: areTools },
    toolChoice: anything, // tool-calls.ts looks into these
    parallelToolCalls: aBoolean,
    toolCallFormat: either(
      'hermes, llama, mistral or { before, after, between, argumentsKey }',
      oneOf(...Object.keys(toolCallFormats)),
      {
        expected: '',
        fits: isToolCallFormat,
      },
    ),
    ...samplingRules(),
  };
}

/** A text as it stands, a chat for the model's template, or token ids. */
export type Prompt = string | readonly ChatMessage[] | readonly number[];

/** One generated token. */
export interface Piece {
  readonly tokenId: number;
  /** May be empty: of a character that is not whole yet, of a token that ends the answer. */
  readonly text: string;
  /** log p(token | before) by the model itself, before any sampling option. */
  readonly logprob?: number;
  readonly topLogprobs?: readonly TokenLogprob[];
  /** What the step that chose this token read; absent where that step was a prompt's, of several tokens. */
  readonly activity?: StepActivity;
}

export interface Usage {
  readonly promptTokens: number;
  /** Tokens of the prompt that were still in the KV cache. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export interface GenerateResult {
  readonly text: string;
  readonly tokenIds: readonly number[];
  /** `stop`: a stop token or string, or a form that is complete; `length`: maxNewTokens or the context; `abort`: a signal, dispose(), or the reader left. */
  readonly finishReason: 'stop' | 'length' | 'abort';
  readonly stopString?: string;
  readonly usage: Usage;
  readonly stats: ModelStats;
  readonly seed: number;
}

/** What the loop needs of a model. */
export interface GenerationHost {
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  readonly tokenizer: Tokenizer | undefined;
  /** What holds the answer to a form, where one is asked for. */
  constraint(options: GenerateOptions, stops: ReadonlySet<number>): Constraint | undefined;
  promptIds(prompt: Prompt, options: GenerateOptions): readonly number[];
  /**
   * Computes ids behind what the cache holds of them; gives the logits of the last one (valid until the next call), or
   * nothing when it was stopped on the way. Always the same list, which grows; at most `most` tokens will come behind it.
   */
  advance(ids: readonly number[], most: number): Promise<Advanced | undefined>;
  stats(): ModelStats;
}

/**
 * The loop: pushes a piece a token, gives the result. It stops where `advance` gives nothing: between steps, when the
 * signal aborts, the model is disposed, or nobody reads on. Nothing is awaited between a step and the next `advance`.
 */
export async function runGeneration(
  host: GenerationHost,
  prompt: Prompt,
  options: GenerateOptions,
  push: (piece: Piece) => void,
): Promise<GenerateResult> {
  checkOptions('generate', options, generateRules(host.vocabSize));
  const { signal } = options;
  const stops = new Set(options.stopTokenIds ?? host.eosTokenIds);
  const constraint = host.constraint(options, stops);
  const sampler = createSampler(samplingOptionsOf(options), host.vocabSize, constraint);
  const ids = [...host.promptIds(prompt, options)];
  const detokenizer = createDetokenizer(host, options, ids);
  const promptLength = ids.length;
  const limit = Math.min(options.maxNewTokens ?? Number.POSITIVE_INFINITY, host.contextLength - promptLength + 1);
  const wantsLogprobs = options.logprobs !== undefined && options.logprobs !== false;
  let text = '';
  let cachedTokens = 0;
  let finishReason: GenerateResult['finishReason'] = 'length';

  for (let n = 0; n < limit; n++) {
    const step = await host.advance(ids, limit - n);
    if (step === undefined) {
      if (signal?.aborted && options.onAbort !== 'return') throw signal.reason;
      finishReason = 'abort';
      text += detokenizer?.flush() ?? '';
      break;
    }
    const { logits, cached, activity } = step;
    if (n === 0) cachedTokens = cached;
    const tokenId = sampler.sample(logits, ids, promptLength);
    ids.push(tokenId);
    constraint?.accept(tokenId);
    const isStop = stops.has(tokenId);
    const ended = isStop || constraint?.isEnd === true;
    let piece = isStop ? '' : (detokenizer?.push(tokenId) ?? '');
    const stopped = detokenizer?.stopped !== undefined;
    if ((ended || n + 1 >= limit) && !stopped) piece += detokenizer?.flush() ?? '';
    text += piece;
    push({
      tokenId,
      text: piece,
      ...(activity && { activity }),
      ...(wantsLogprobs && describe(logits, tokenId, Number(options.logprobs === true ? 0 : options.logprobs))),
    });
    if (ended || stopped) {
      finishReason = 'stop';
      break;
    }
  }
  return {
    text,
    tokenIds: ids.slice(promptLength),
    finishReason,
    ...(detokenizer?.stopped !== undefined && { stopString: detokenizer.stopped }),
    usage: { promptTokens: promptLength, cachedTokens, completionTokens: ids.length - promptLength },
    stats: host.stats(),
    seed: sampler.seed,
  };
}

function areTools(value: unknown): boolean {
  const isTool = (tool: unknown) => typeof (tool as { function?: { name?: unknown } })?.function?.name === 'string';
  return Array.isArray(value) && value.every(isTool);
}

function isToolCallFormat(value: unknown): boolean {
  const format = (value ?? {}) as Record<string, unknown>;
  return (
    ['before', 'after', 'between', 'argumentsKey'].every((key) => typeof format[key] === 'string') &&
    ['beforeAll', 'afterAll', 'mark'].every((key) => ['string', 'undefined'].includes(typeof format[key]))
  );
}

function samplingOptionsOf(options: GenerateOptions): SamplingOptions {
  const known = samplingRules();
  return Object.fromEntries(Object.entries(options).filter(([key]) => Object.hasOwn(known, key)));
}

function createDetokenizer(
  host: GenerationHost,
  options: GenerateOptions,
  ids: readonly number[],
): StreamDetokenizer | undefined {
  const stop = typeof options.stop === 'string' ? [options.stop] : (options.stop ?? []);
  if (host.tokenizer) return new StreamDetokenizer(host.tokenizer, { stop, skipSpecialTokens: true, prompt: [...ids] });
  if (stop.length > 0)
    throw new RelufyError('option', 'generate option "stop": the model has no tokenizer. Use stopTokenIds.');
  return undefined;
}

function describe(logits: Float32Array, tokenId: number, topCount: number): Pick<Piece, 'logprob' | 'topLogprobs'> {
  const { logprob, topLogprobs } = tokenLogprobs(logits, tokenId, topCount);
  return topCount === 0 ? { logprob } : { logprob, topLogprobs };
}

/**
 * Pieces as they come, and the result at the end. Generation runs on its own and pieces wait for their reader, so a
 * slow reader holds up nobody; a reader that leaves the loop ends it. Pieces are handed out once: one reader.
 */
export class GenerationStream implements AsyncIterable<Piece> {
  /** Settles when generation ends. */
  readonly result: Promise<GenerateResult>;
  readonly #pieces: Piece[] = [];
  #next = 0;
  #left = false;
  #hasReader = false;
  #ended = false;
  #wake: () => void = () => {};

  /** @internal `run` starts at once and hands each piece to `push`; `left` says that nobody reads on. */
  constructor(run: (push: (piece: Piece) => void, left: () => boolean) => Promise<GenerateResult>) {
    this.result = run(
      (piece) => {
        this.#pieces.push(piece);
        this.#wake();
      },
      () => this.#left,
    ).finally(() => {
      this.#ended = true;
      this.#wake();
    });
    // an error reaches whoever reads pieces or result; without this, a reader of pieces alone would crash the process
    this.result.catch(() => {});
  }

  /** @throws RelufyError `state` for a second reader: the two would take pieces away from each other. */
  [Symbol.asyncIterator](): AsyncIterator<Piece> {
    if (this.#hasReader)
      throw new RelufyError(
        'state',
        'generation stream: expected one reader of its pieces, got a second. Call generate() again, or hand the pieces on.',
      );
    this.#hasReader = true;
    return this.#read();
  }

  async *#read(): AsyncGenerator<Piece, void> {
    try {
      for (;;) {
        const piece = this.#pieces[this.#next];
        if (piece !== undefined) {
          this.#next++;
          yield piece;
        } else if (this.#ended) {
          await this.result;
          return;
        } else
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
      }
    } finally {
      this.#left = true;
    }
  }
}
