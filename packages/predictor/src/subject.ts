// The model under calibration: loaded as it will be run, with a plan whose numbers and structure change between trials. Runs
// windows layer by layer, blocks by themselves, and hands out weights. It drives the session with programs of its own, so
// nothing in the model knows of calibration. Does not own what is looked for (statistics.ts, methods.ts, allocation.ts).
// Longer than 400 lines because all ways to run the model share its session, its programs and their places.
import {
  applyPlan,
  buildDecoder,
  createBackend,
  type Decoder,
  type DecoderProgram,
  type InputPlace,
  loadModel,
  type Model,
  type ModelFiles,
  type ModelSpec,
  planValues,
  TokenLoss,
} from '@relufy/models';
import {
  type BufferDecl,
  type DType,
  type HostBackend,
  type HostProgram,
  type HostSession,
  RelufyError,
  type StepLimits,
} from '@relufy/tensor';
import { type PlanDraft, planFolder, type Trial } from './calibration.js';
import { type LayerTime, layerTimeOf } from './layer-time.js';
import { linearWeight, type Matrix } from './linear-weight.js';
import type { CalibrationOptions } from './options.js';
import { readShares } from './reads.js';

interface Loaded {
  readonly built: DecoderProgram;
  readonly program: HostProgram;
}

/** What has been loaded, with the structure of one plan. */
interface Opened {
  readonly model: Model;
  readonly session: HostSession;
  readonly buffers: ReadonlyMap<string, BufferDecl>;
  readonly limits: StepLimits;
  /** What lies in memory, and what runs on it: `k` of the largest few may change without loading. */
  readonly layout: string;
  spec: ModelSpec;
  structure: string;
  decoder: Decoder;
  readonly programs: Map<string, Loaded>;
}

/** Rows [rows, width] of a tap, valid during the call. */
export type Tap = (name: string) => Float32Array;

export type LayerHook = (layer: number, tap: Tap, rows: number) => void;

/** The model as it is. */
export const nothingLeftOut: PlanDraft = { plan: { method: 'dense' }, tensors: new Map() };

/** Tokens whose layers are not timed: programs and caches are new to them. */
const warmUps = 16;

export class Subject {
  readonly #files: ModelFiles;
  readonly #load: NonNullable<CalibrationOptions['load']>;
  readonly #contextLength: number;
  readonly #signal: AbortSignal | undefined;
  /** For sessions beside the model's. */
  readonly backend: HostBackend;
  readonly #backend: HostBackend;
  readonly #ownsBackend: boolean;
  #session: HostSession | undefined;
  #buffers: readonly BufferDecl[] = [];
  #limits: StepLimits | undefined;
  #opened: Opened | undefined;
  /** Without any plan. */
  #plain: ModelSpec | undefined;

  private constructor(
    files: ModelFiles,
    backend: HostBackend,
    {
      load,
      contextLength,
      signal,
      owns,
    }: {
      load: NonNullable<CalibrationOptions['load']>;
      contextLength: number;
      signal: AbortSignal | undefined;
      owns: boolean;
    },
  ) {
    this.#files = files;
    this.#load = load;
    this.#contextLength = contextLength;
    this.#signal = signal;
    this.#ownsBackend = owns;
    this.backend = backend;
    this.#backend = {
      name: backend.name,
      description: backend.description,
      threads: backend.threads,
      weightDTypes: backend.weightDTypes,
      createSession: async (buffers, limits) => {
        const session = await backend.createSession(buffers, limits);
        [this.#session, this.#buffers, this.#limits] = [session, buffers, limits];
        return session;
      },
      dispose: () => backend.dispose(),
    };
  }

  static async open(
    files: ModelFiles,
    contextLength: number,
    { load = {}, signal }: Pick<CalibrationOptions, 'load' | 'signal'>,
  ): Promise<Subject> {
    const given = typeof load.backend === 'object' ? (load.backend as HostBackend) : undefined;
    const backend = given ?? (await createBackend(load)).backend;
    const subject = new Subject(files, backend, { load, contextLength, signal, owns: given === undefined });
    try {
      await subject.#reload(nothingLeftOut);
      return subject;
    } catch (error) {
      await subject.dispose();
      throw error;
    }
  }

  async dispose(): Promise<void> {
    await this.#opened?.model.dispose();
    this.#opened = undefined;
    if (this.#ownsBackend) await this.#backend.dispose();
  }

  get model(): Model {
    return this.#now.model;
  }

  get spec(): ModelSpec {
    return this.#now.spec;
  }

  get #now(): Opened {
    if (this.#opened === undefined) throw new Error('internal: nothing is loaded');
    return this.#opened;
  }

  /** Runs with this plan from now on: its numbers are written where its layout is there, else it is loaded. */
  async use(draft: PlanDraft): Promise<void> {
    if (this.#opened?.layout !== layoutOf(draft)) return this.#reload(draft);
    const now = this.#now;
    for (const [name, { values }] of draft.tensors)
      now.session.write(name, planValues(now.buffers.get(name) as BufferDecl, values));
    if (now.structure === structureOf(draft)) return;
    now.spec = applyPlan('calibrate', this.#plain as ModelSpec, draft.plan);
    now.structure = structureOf(draft);
    now.decoder = this.#decoderOf(now);
    now.programs.clear();
  }

  async #reload(draft: PlanDraft): Promise<void> {
    await this.#opened?.model.dispose();
    this.#opened = undefined;
    const { threads: _, ...load } = this.#load;
    const model = await loadModel(this.#files, {
      ...load,
      backend: this.#backend,
      contextLength: this.#contextLength,
      waitingBytes: 0,
      ...(draft !== nothingLeftOut && { plan: await planFolder(draft) }),
      ...(this.#signal && { signal: this.#signal }),
    });
    this.#plain ??= model.spec;
    const parts = {
      ...{ model, spec: model.spec },
      buffers: new Map(this.#buffers.map((buffer) => [buffer.name, buffer])),
      limits: this.#limits as StepLimits,
      session: this.#session as HostSession,
      ...{ layout: layoutOf(draft), structure: structureOf(draft) },
      programs: new Map<string, Loaded>(),
    };
    this.#opened = { ...parts, decoder: this.#decoderOf(parts) };
  }

  #decoderOf({ spec, limits, buffers }: Pick<Opened, 'spec' | 'limits' | 'buffers'>): Decoder {
    return buildDecoder(spec, {
      limits,
      slots: 1,
      contextLength: this.#contextLength,
      matrixDType: (name): DType => (buffers.get(name) as BufferDecl).dtype,
      kvCache: this.#load.kvCache ?? 'f32',
    });
  }

  #program(
    sparsity: 'exact' | 'dense',
    taps: readonly string[],
    withBlocks = false,
    head: 'logprobs' | 'logits' = 'logprobs',
  ): Loaded {
    const { programs, decoder, session } = this.#now;
    const key = JSON.stringify([sparsity, taps, withBlocks, head]);
    let found = programs.get(key);
    if (found === undefined) {
      const built = decoder.build({ sparsity, taps, head });
      const { numHiddenLayers } = this.spec;
      const blocks = Array.from({ length: numHiddenLayers + 1 }, (_, layer) => blockBuffer(built, layer));
      const kept = new Set([...built.program.kept, ...(withBlocks ? blocks : [])]);
      found = { built, program: session.load({ ...built.program, kept }) };
      programs.set(key, found);
    }
    return found;
  }

  /**
   * One window from position 0, computed whole over the plan's zeros; `hear` sees `taps` of each layer as it is done.
   * @returns log p of each id; NaN for the first.
   */
  async pass(ids: readonly number[], taps: readonly string[], hear?: LayerHook): Promise<Float32Array> {
    return this.#window(this.#program('dense', taps), ids, hear);
  }

  /** Logits of one window's first positions, as `hear` takes them: [rows, vocab], valid during the call. */
  async logits(ids: readonly number[], hear: (logits: Float32Array, at: number, rows: number) => void): Promise<void> {
    const loaded = this.#program('dense', [], false, 'logits');
    const { vocabSize } = this.spec;
    let at = 0;
    await this.#window(loaded, ids, undefined, (rows, outputs) => {
      const name = 'logits';
      hear((loaded.program.view(name) as Float32Array).subarray(0, outputs * vocabSize), at, outputs);
      at += rows;
    });
  }

  /** What each product of an exact step reads of its weights. */
  get reads(): DecoderProgram['reads'] {
    return this.#program('exact', []).built.reads;
  }

  /** What enters and leaves every block, [tokens, hidden] each: layers + 1 of them. */
  async hiddenStates(ids: readonly number[]): Promise<Float32Array[]> {
    const loaded = this.#program('dense', [], true);
    const { numHiddenLayers, hiddenSize } = this.spec;
    const states = Array.from({ length: numHiddenLayers + 1 }, () => new Float32Array(ids.length * hiddenSize));
    let at = 0;
    await this.#window(loaded, ids, (layer, _, rows) => {
      for (const boundary of layer === 0 ? [0, 1] : [layer + 1])
        (states[boundary] as Float32Array).set(
          (loaded.program.view(blockBuffer(loaded.built, boundary)) as Float32Array).subarray(0, rows * hiddenSize),
          at * hiddenSize,
        );
      if (layer === numHiddenLayers - 1) at += rows;
    });
    return states;
  }

  /** What a block makes of one window's hidden states [tokens, hidden], into `out`. */
  async block(layer: number, input: Float32Array, out: Float32Array): Promise<void> {
    const { built, program } = this.#program('dense', [], true);
    const { hiddenSize } = this.spec;
    const [from, to] = built.layers[layer] as readonly [number, number];
    const tokens = input.length / hiddenSize;
    const { maxRows } = this.#now.limits;
    for (let at = 0; at < tokens; at += maxRows) {
      const rows = Math.min(maxRows, tokens - at);
      this.#place(at, rows);
      const range = [at * hiddenSize, (at + rows) * hiddenSize] as const;
      (program.view(blockBuffer(built, layer)) as Float32Array).set(input.subarray(...range));
      await program.run({ rows, outputs: 0 }, from, to);
      const made = program.view(blockBuffer(built, layer + 1)) as Float32Array;
      out.set(made.subarray(0, rows * hiddenSize), range[0]);
    }
  }

  /** Runs windows with weights skipped, counting what is read. */
  async trial(windows: readonly (readonly number[])[], onShare?: (share: number) => void): Promise<Trial> {
    const { built, program } = this.#program('exact', []);
    const read = new Float64Array(built.reads.length);
    const loss = new TokenLoss();
    let tokens = 0;
    for (const [index, ids] of windows.entries()) {
      onShare?.(index / windows.length);
      const logprobs = await this.#window({ built, program }, ids, undefined, (rows) => {
        tokens += rows;
        for (const [at, { activeCount, rows: all }] of built.reads.entries()) {
          if (activeCount === undefined) read[at]! += all * rows;
          else for (const count of (program.view(activeCount) as Int32Array).subarray(0, rows)) read[at]! += count;
        }
      });
      loss.add(logprobs);
    }
    return { ...readShares(built, read, tokens), perplexity: loss.perplexity };
  }

  /**
   * What each layer's part of a decoding step takes, of all but the first tokens: with the plan's predictor and without one,
   * interleaved. What a call costs is in both.
   */
  async layerTimes(ids: readonly number[]): Promise<readonly LayerTime[]> {
    const { session } = this.#now;
    const { predictor: _, ...unpredicted } = this.spec;
    const without = this.#decoderOf({ ...this.#now, spec: unpredicted }).build({ sparsity: 'exact' });
    const ways = [this.#program('exact', []), { built: without, program: session.load(without.program) }] as const;
    const samples = this.spec.numHiddenLayers;
    const times = ways.map(() => Array.from({ length: samples }, (): number[] => []));
    for (const [at, id] of ids.entries()) {
      this.#signal?.throwIfAborted();
      const order = at % 2 === 0 ? [0, 1] : [1, 0];
      for (const way of order) {
        const { built, program } = ways[way] as Loaded;
        this.#place(at, 1);
        session.write('tokens', [id]);
        let done = 0;
        for (const [layer, [from, to]] of built.layers.entries()) {
          if (from > done) await program.run({ rows: 1, outputs: 0 }, done, from);
          const start = performance.now();
          await program.run({ rows: 1, outputs: 0 }, from, to);
          if (at >= warmUps) times[way]?.[layer]?.push(performance.now() - start);
          done = to;
        }
      }
    }
    return Array.from({ length: samples }, (__, layer) =>
      layerTimeOf(times[0]?.[layer] as number[], times[1]?.[layer] as number[]),
    );
  }

  /** Every row's place in the sequence, and whether its masks hold. */
  #place(at: number, rows: number): void {
    const { session } = this.#now;
    const { denseTokens } = this.spec;
    const positions = Int32Array.from({ length: rows }, (_, row) => at + row);
    session.write('positions', positions);
    session.write('slots', new Int32Array(rows));
    if (denseTokens !== undefined)
      session.write(
        'maskStrength',
        Float32Array.from(positions, (position) => (position < denseTokens ? 0 : 1)),
      );
  }

  async #window(
    { built, program }: Loaded,
    ids: readonly number[],
    hear?: LayerHook,
    onStep?: (rows: number, outputs: number) => void,
  ): Promise<Float32Array> {
    const { session, limits } = this.#now;
    if (ids.length > this.#contextLength)
      throw new RelufyError(
        'input',
        `calibrate: expected sequences of at most ${this.#contextLength} tokens (the context), got ${ids.length}. Cut them, or ask for a larger contextLength.`,
      );
    const logprobs = new Float32Array(ids.length).fill(Number.NaN);
    const chunkRows = Math.min(limits.maxRows, limits.maxOutputs);
    for (let at = 0; at < ids.length; at += chunkRows) {
      this.#signal?.throwIfAborted();
      const chunk = ids.slice(at, at + chunkRows);
      const targets = ids.slice(at + 1, at + 1 + chunk.length);
      const step = { rows: chunk.length, outputs: targets.length };
      this.#place(at, step.rows);
      session.write('tokens', Int32Array.from(chunk));
      session.write('outputRows', Int32Array.from(targets.keys()));
      session.write('targets', Int32Array.from(targets));
      const tap: Tap = (name) => {
        const activation = built.taps.get(name) as string;
        const width = built.program.buffers.get(activation)?.shape[1] as number;
        return (program.view(activation) as Float32Array).subarray(0, step.rows * width);
      };
      let done = 0;
      if (hear)
        for (const [layer, [, to]] of built.layers.entries()) {
          await program.run(step, done, to);
          done = to;
          hear(layer, tap, step.rows);
        }
      await program.run(step, done, built.program.ops.length);
      const isScored = built.program.kept.has('logprob');
      const found = isScored ? (program.view('logprob') as Float32Array).subarray(0, targets.length) : [];
      for (const [row, value] of found.entries())
        if (!Number.isFinite(value))
          throw new RelufyError(
            'backend',
            `calibrate: expected finite numbers at position ${at + row} (token id ${chunk[row]}), got ${value}. Check the weights, or load them with another dtype.`,
          );
      logprobs.set(found, at + 1);
      onStep?.(step.rows, step.outputs);
    }
    return logprobs;
  }

  /** The bias of one linear layer of an FFN, where it has one. */
  bias(layer: number, place: 'gate' | 'up'): Float32Array | undefined {
    const { buffers, session } = this.#now;
    const name = `layers.${layer}.${place}.bias`;
    return buffers.has(name) ? (session.view(name) as Float32Array) : undefined;
  }

  /** The weight of one linear layer, dequantised: what is run. */
  weight(layer: number, place: InputPlace): Matrix {
    return linearWeight(this.#now, layer, place);
  }
}

/** What of a plan decides how weights lie in memory and which buffers there are. */
const layoutOf = ({ plan: { masks, ...plan }, tensors }: PlanDraft): string =>
  structureOf({
    plan: { ...plan, ...(masks && { masks: masks.map((mask) => (mask.kind === 'top' ? { ...mask, k: [] } : mask)) }) },
    tensors,
  });

/** What a plan's programs depend on. */
const structureOf = ({ plan: { masks, lowRank, predictor, denseTokens } }: PlanDraft): string =>
  JSON.stringify({ masks, lowRank, predictor, denseTokens });

/** The buffer that enters block k; of the last k, what leaves the last block. */
function blockBuffer({ taps, program }: DecoderProgram, boundary: number): string {
  const own = `hidden.${boundary}`;
  if (boundary === 0) return taps.get(own) as string;
  if (!program.buffers.has(own)) throw new Error(`internal: no buffer ${own}`);
  return own;
}
