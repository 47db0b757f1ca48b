// A loaded model: what a user calls (generate, forward, score, encode, decode), in the order of the calls.
// Owns the queue of work and the checks of arguments. Steps are steps.ts, loading load-model.ts, the loop generate.ts.
import { type Backend, RelufyError, show } from '@relufy/tensor';
import type { ChatMessage, Tokenizer } from '@relufy/tokenizer';
import type { DecoderProgram } from './decoder-program.js';
import {
  type GenerateOptions,
  type GenerateResult,
  type GenerationHost,
  GenerationStream,
  type Piece,
  type Prompt,
  runGeneration,
} from './generate.js';
import type { ModelSpec } from './spec.js';
import { type ModelStats, StepStatistics } from './statistics.js';
import {
  type ContinuationScore,
  type ForwardResult,
  type ScoreRequest,
  type ScoreResult,
  type StepParts,
  Steps,
} from './steps.js';

export interface ForwardOptions {
  /** Logits of every position, or of the last one (default). */
  readonly logits?: 'all' | 'last';
  /**
   * `hidden.k` (what enters block k; the last one is what the head reads); inputs of layers: `qkv.k`, `o.k`, `upGate.k`,
   * `down.k`; and `preActivation.k`, what the FFN's activation is applied to.
   */
  readonly capture?: readonly string[];
}

/** @internal What load-model.ts puts together. */
export interface ModelParts extends StepParts {
  readonly name: string;
  readonly modelType: string;
  readonly tokenizer: Tokenizer | undefined;
  readonly eosTokenIds: readonly number[];
  readonly backend: Backend;
  /** What was taken, and why. */
  readonly backendDescription: string;
  readonly ownsBackend: boolean;
}

export class Model implements AsyncDisposable {
  readonly name: string;
  readonly modelType: string;
  readonly spec: ModelSpec;
  readonly tokenizer: Tokenizer | undefined;
  /** Token ids that end an answer. */
  readonly eosTokenIds: readonly number[];
  /** Positions that the KV cache holds. */
  readonly contextLength: number;
  readonly sparsity: 'exact' | 'dense';
  readonly #parts: ModelParts;
  readonly #steps: Steps;
  #statistics: StepStatistics;
  #queue: Promise<unknown> = Promise.resolve();
  #disposed = false;

  /** @internal Use `loadModel`. */
  constructor(parts: ModelParts) {
    this.#parts = parts;
    this.#steps = new Steps(parts);
    this.name = parts.name;
    this.modelType = parts.modelType;
    this.spec = parts.spec;
    this.tokenizer = parts.tokenizer;
    this.eosTokenIds = parts.eosTokenIds;
    this.contextLength = parts.cache.contextLength;
    this.sparsity = parts.sparsity;
    this.#statistics = new StepStatistics(parts.spec.numHiddenLayers);
  }

  /** What runs the model, in one line. */
  get backend(): string {
    return this.#parts.backendDescription;
  }

  /** Bytes of weights, KV cache and activations. */
  get memoryBytes(): number {
    this.#check();
    return this.#parts.session.memoryBytes;
  }

  /** The program that decoding runs, for inspection. */
  get program(): DecoderProgram['program'] {
    return this.#steps.program;
  }

  /**
   * Text -> token ids.
   * @throws RelufyError `state` when the model came without a tokenizer.
   */
  async encode(text: string, options: { readonly addSpecialTokens?: boolean } = {}): Promise<number[]> {
    return this.#tokenizer().encode(text, options);
  }

  /** Token ids -> text. Special tokens are kept unless told otherwise. */
  decode(ids: readonly number[], options: { readonly skipSpecialTokens?: boolean } = {}): string {
    return this.#tokenizer().decode(ids, options);
  }

  /**
   * Generates: one piece a token. Calls on one model run one after the other, in order.
   * Errors (options, a prompt that does not fit, an abort) reach the reader of the pieces and of `result`.
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): GenerationStream {
    return new GenerationStream((push, left) => this.#enqueue(() => this.#generate(prompt, options, push, left)));
  }

  /**
   * One pass over a sequence, from position 0.
   * @throws RelufyError `input` for ids out of range or more of them than the context holds; `option` for unknown taps.
   */
  async forward(inputIds: Iterable<number>, options: ForwardOptions = {}): Promise<ForwardResult> {
    const { logits: which = 'last', capture = [] } = options;
    checkKeys('forward', options, ['logits', 'capture']);
    if (which !== 'all' && which !== 'last')
      throw new RelufyError('option', `forward option "logits": expected all or last, got ${show(which)}.`);
    const ids = this.#checkIds([...inputIds]);
    return this.#enqueue(() => this.#steps.forward(ids, which, [...new Set(capture)]));
  }

  /** Log-probabilities of a sequence under the model, without keeping logits. */
  async score(inputIds: Iterable<number>): Promise<ScoreResult> {
    const ids = this.#checkIds([...inputIds]);
    return this.#enqueue(() => this.#steps.score(ids));
  }

  /**
   * Scores several continuations of one context. The context is computed once, and only where the KV cache does not hold
   * it yet; with `slots` > 1 the continuations share steps.
   * @throws RelufyError `input` when context and continuation do not fit the context length, or one is empty.
   */
  async scoreContinuations(
    context: readonly number[],
    continuations: readonly (readonly number[])[],
  ): Promise<ContinuationScore[]> {
    return (await this.scoreBatch([{ context, continuations }]))[0] as ContinuationScore[];
  }

  /**
   * Scores several contexts, each with its continuations, `slots` - 1 continuations at once: a step then holds tokens of
   * many sequences, without padding. The same numbers as one context at a time.
   * @throws RelufyError `input` when a context and its continuation do not fit the context length, or one is empty.
   */
  async scoreBatch(requests: readonly ScoreRequest[]): Promise<ContinuationScore[][]> {
    for (const { context, continuations } of requests)
      for (const continuation of continuations) {
        if (continuation.length === 0)
          throw new RelufyError('input', 'continuation: expected at least one id, got none.');
        this.#checkIds([...this.#checkIds(context), ...continuation.slice(0, -1)]);
        this.#checkIds(continuation);
      }
    return this.#enqueue(() => this.#steps.scoreBatch(requests));
  }

  /** Continuations that `scoreBatch` takes at once. */
  get scoringLanes(): number {
    return this.#steps.lanes;
  }

  /** Since the model was loaded, or since `resetStats`. */
  stats(): ModelStats {
    return this.#statistics.get();
  }

  resetStats(): void {
    this.#statistics = new StepStatistics(this.spec.numHiddenLayers);
  }

  /** Waits for the step that runs, frees the memory; work that waits is refused. */
  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#queue.catch(() => {});
    await this.#parts.session.dispose();
    if (this.#parts.ownsBackend) await this.#parts.backend.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #check(): void {
    if (this.#disposed) throw new RelufyError('state', `model "${this.name}": used after dispose(). Load it again.`);
  }

  /** Work runs in the order of its calls; an error of one does not touch the next. */
  #enqueue<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(() => {
      this.#check();
      return work();
    });
    this.#queue = turn.catch(() => {});
    return turn;
  }

  #tokenizer(): Tokenizer {
    if (this.tokenizer) return this.tokenizer;
    throw new RelufyError(
      'state',
      `model "${this.name}": expected a tokenizer.json (or vocab.json and merges.txt) beside the weights, got none. Pass token ids, or add the files.`,
    );
  }

  #checkIds(ids: readonly number[]): readonly number[] {
    this.#check();
    if (ids.length === 0) throw new RelufyError('input', 'input ids: expected at least one, got none.');
    if (ids.length > this.contextLength)
      throw new RelufyError(
        'input',
        `input ids: expected at most ${this.contextLength} (the context), got ${ids.length}. Shorten the prompt, or load the model with a larger contextLength.`,
      );
    for (const id of ids)
      if (!Number.isInteger(id) || id < 0 || id >= this.spec.vocabSize)
        throw new RelufyError(
          'input',
          `input ids: expected whole numbers from 0 to ${this.spec.vocabSize - 1}, got ${show(id)}.`,
        );
    return ids;
  }

  #promptIds(prompt: Prompt, options: GenerateOptions): readonly number[] {
    if (typeof prompt === 'string')
      return this.#checkIds(this.#tokenizer().encode(prompt, { addSpecialTokens: options.addSpecialTokens ?? true }));
    if (!Array.isArray(prompt))
      throw new RelufyError('input', `prompt: expected a text, messages or token ids, got ${show(prompt)}.`);
    if (typeof prompt[0] === 'object')
      return this.#checkIds(
        this.#tokenizer().encodeChat(prompt as readonly ChatMessage[], { addGenerationPrompt: true }),
      );
    return this.#checkIds(prompt as readonly number[]);
  }

  #generate(
    prompt: Prompt,
    options: GenerateOptions,
    push: (piece: Piece) => void,
    left: () => boolean,
  ): Promise<GenerateResult> {
    const own = new StepStatistics(this.spec.numHiddenLayers);
    const host: GenerationHost = {
      vocabSize: this.spec.vocabSize,
      contextLength: this.contextLength,
      eosTokenIds: this.eosTokenIds,
      tokenizer: this.tokenizer,
      promptIds: () => this.#promptIds(prompt, options),
      advance: (ids) => this.#steps.advance(ids, options.signal, [this.#statistics, own]),
      stats: () => own.get(),
    };
    return runGeneration(host, prompt, options, push, left);
  }
}

function checkKeys(call: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options))
    if (!known.includes(key))
      throw new RelufyError('option', `${call} option "${key}": unknown. Expected ${known.join(' or ')}.`);
}
