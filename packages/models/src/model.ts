// A loaded model: steps over its slots, and what a user calls (generate, forward, score, encode, decode).
// Owns the queue of work, the KV bookkeeping and the programs. Loading is load-model.ts, the loop is generate.ts.
import { type Backend, type LoadedProgram, RelufyError, type Session, type StepLimits, show } from '@relufy/tensor';
import type { ChatMessage, Tokenizer } from '@relufy/tokenizer';
import type { Decoder, DecoderProgram, ProgramOptions } from './decoder.js';
import {
  type GenerateOptions,
  type GenerateResult,
  type GenerationHost,
  GenerationStream,
  type Piece,
  type Prompt,
  runGeneration,
} from './generate.js';
import type { SlotCache } from './slots.js';
import type { ModelSpec } from './spec.js';
import { type ModelStats, StepStatistics } from './statistics.js';

export interface ForwardOptions {
  /** Logits of every position, or of the last one (default). */
  readonly logits?: 'all' | 'last';
  /** `hidden.k` (what enters block k; the last one is what the head reads), and inputs of layers: `qkv.k`, `o.k`, `upGate.k`, `down.k`. */
  readonly capture?: readonly string[];
}

export interface ForwardResult {
  /** [rows, vocab], row-major. */
  readonly logits: Float32Array;
  readonly shape: readonly [rows: number, vocabSize: number];
  /** Tap -> [tokens, width], row-major. */
  readonly captured: Readonly<Record<string, Float32Array>>;
}

export interface ScoreResult {
  /** log p(inputIds[i] | inputIds[0..i-1]); NaN for the first, which nothing comes before. */
  readonly logprobs: Float32Array;
  /** inputIds[i] is the model's first choice there; false for the first. */
  readonly isGreedy: readonly boolean[];
}

/** @internal What load-model.ts puts together. */
export interface ModelParts {
  readonly name: string;
  readonly modelType: string;
  readonly spec: ModelSpec;
  readonly tokenizer: Tokenizer | undefined;
  readonly eosTokenIds: readonly number[];
  readonly backend: Backend;
  /** What was taken, and why. */
  readonly backendDescription: string;
  readonly ownsBackend: boolean;
  readonly session: Session;
  readonly decoder: Decoder;
  readonly limits: StepLimits;
  readonly cache: SlotCache;
  readonly sparsity: 'exact' | 'dense';
}

interface Loaded {
  readonly loaded: LoadedProgram;
  readonly built: DecoderProgram;
}

/** One chat's slot. Further slots are for work that forks. */
const chatSlot = 0;

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
  readonly #programs = new Map<string, Loaded>();
  #statistics: StepStatistics;
  #queue: Promise<unknown> = Promise.resolve();
  #disposed = false;

  /** @internal Use `loadModel`. */
  constructor(parts: ModelParts) {
    this.#parts = parts;
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
    return this.#program({ sparsity: this.sparsity }).built.program;
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
    return this.#enqueue(() => this.#forward(ids, which, [...new Set(capture)]));
  }

  /** Log-probabilities of a sequence under the model, without keeping logits. */
  async score(inputIds: Iterable<number>): Promise<ScoreResult> {
    const ids = this.#checkIds([...inputIds]);
    return this.#enqueue(() => this.#score(ids));
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
      advance: (ids) => this.#advance(ids, options.signal, own),
      stats: () => own.get(),
    };
    return runGeneration(host, prompt, options, push, left);
  }

  #program(options: ProgramOptions): Loaded {
    const key = JSON.stringify(options);
    let found = this.#programs.get(key);
    if (found === undefined) {
      const built = this.#parts.decoder.build(options);
      found = { built, loaded: this.#parts.session.load(built.program) };
      this.#programs.set(key, found);
    }
    return found;
  }

  /** Computes the ids that the chat's slot does not hold yet; gives the logits of the last one, or nothing when aborted. */
  async #advance(
    ids: readonly number[],
    signal: AbortSignal | undefined,
    own: StepStatistics,
  ): Promise<{ logits: Float32Array; cached: number } | undefined> {
    const { cache, limits } = this.#parts;
    const program = this.#program({ sparsity: this.sparsity });
    const cached = Math.min(cache.commonPrefix(chatSlot, ids), ids.length - 1);
    cache.truncate(chatSlot, cached);
    const start = performance.now();
    for (let at = cached; at < ids.length; at += limits.maxRows) {
      if (signal?.aborted) return undefined;
      const chunk = ids.slice(at, at + limits.maxRows);
      await this.#step(program, chunk, at, at + chunk.length === ids.length ? [chunk.length - 1] : []);
      cache.append(chatSlot, chunk);
    }
    const ms = performance.now() - start;
    for (const statistics of [this.#statistics, own]) {
      if (ids.length - cached > 1) statistics.prefill(ids.length - cached, ms);
      else statistics.decode(ms, program.built, program.loaded);
    }
    return { logits: this.#logits(program, 1), cached };
  }

  /** Runs consecutive tokens of the chat's slot; `outputRows` are the rows whose logits are wanted. */
  async #step(
    { loaded }: Loaded,
    ids: readonly number[],
    firstPosition: number,
    outputRows: readonly number[],
    targets: readonly number[] = [],
  ): Promise<void> {
    const { session } = this.#parts;
    const input = (name: string, values: ArrayLike<number>) => session.view(name).set(values);
    input('tokens', ids);
    input(
      'positions',
      Int32Array.from(ids, (_, row) => firstPosition + row),
    );
    input('slots', new Int32Array(ids.length).fill(chatSlot));
    input('outputRows', outputRows);
    input('targets', targets);
    await loaded.run({ rows: ids.length, outputs: outputRows.length });
  }

  #logits({ loaded }: Loaded, rows: number): Float32Array {
    return (loaded.view('logits') as Float32Array).subarray(0, rows * this.spec.vocabSize);
  }

  async #forward(ids: readonly number[], which: 'all' | 'last', capture: readonly string[]): Promise<ForwardResult> {
    const { limits, cache } = this.#parts;
    const { vocabSize } = this.spec;
    const program = this.#program(
      capture.length > 0 ? { sparsity: this.sparsity, taps: capture } : { sparsity: this.sparsity },
    );
    // the last hidden state exists for output rows only, so whoever captures gets all of them
    const every = which === 'all' || capture.length > 0;
    const chunkRows = every ? Math.min(limits.maxRows, limits.maxOutputs) : limits.maxRows;
    const logits = new Float32Array((which === 'all' ? ids.length : 1) * vocabSize);
    const captured: Record<string, Float32Array> = {};
    cache.truncate(chatSlot, 0);
    for (let at = 0; at < ids.length; at += chunkRows) {
      const chunk = ids.slice(at, at + chunkRows);
      const last = at + chunk.length === ids.length;
      const outputs = every ? chunk.map((_, row) => row) : last ? [chunk.length - 1] : [];
      await this.#step(program, chunk, at, outputs);
      cache.append(chatSlot, chunk);
      if (which === 'all') logits.set(this.#logits(program, chunk.length), at * vocabSize);
      else if (last) logits.set(this.#logits(program, outputs.length).subarray(-vocabSize));
      for (const tap of capture) {
        const activation = program.built.taps.get(tap) as string;
        const width = program.built.program.buffers.get(activation)?.shape[1] as number;
        captured[tap] ??= new Float32Array(ids.length * width);
        const view = program.loaded.view(activation) as Float32Array;
        captured[tap].set(view.subarray(0, chunk.length * width), at * width);
      }
    }
    return { logits, shape: [which === 'all' ? ids.length : 1, vocabSize], captured };
  }

  async #score(ids: readonly number[]): Promise<ScoreResult> {
    const { limits, cache } = this.#parts;
    const program = this.#program({ sparsity: this.sparsity, head: 'logprobs' });
    const chunkRows = Math.min(limits.maxRows, limits.maxOutputs);
    const logprobs = new Float32Array(ids.length).fill(Number.NaN);
    const isGreedy = ids.map(() => false);
    cache.truncate(chatSlot, 0);
    for (let at = 0; at < ids.length; at += chunkRows) {
      const chunk = ids.slice(at, at + chunkRows);
      const targets = ids.slice(at + 1, at + 1 + chunk.length);
      await this.#step(program, chunk, at, [...targets.keys()], targets);
      cache.append(chatSlot, chunk);
      logprobs.set((program.loaded.view('logprob') as Float32Array).subarray(0, targets.length), at + 1);
      const best = program.loaded.view('best');
      targets.forEach((target, row) => {
        isGreedy[at + 1 + row] = best[row] === target;
      });
    }
    return { logprobs, isGreedy };
  }
}

function checkKeys(call: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options))
    if (!known.includes(key))
      throw new RelufyError('option', `${call} option "${key}": unknown. Expected ${known.join(' or ')}.`);
}
