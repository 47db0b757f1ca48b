// The ops of a decoder: one pass over a spec, for every family, sparsity mode and set of taps. It reads facts of the spec
// and never a family's name. Does not own the buffers (decoder-buffers.ts) or who asks for programs (decoder.ts).
import { activationCodes, type BufferDecl, type Dim, type ProgramBuilder, RelufyError, rowBytes } from '@relufy/tensor';
import { hasOneNorm } from './decoder-buffers.js';
import type { DecoderForward, DecoderProgram, ProgramOptions, Site, WeightRead } from './decoder-program.js';
import { type Projection, projections, type Role, sparseSites } from './projections.js';
import { headRows, type ModelSpec } from './spec.js';

/** An activation and, when it is sparse, the list of its non-zero channels. */
interface SiteInput {
  readonly x: string;
  readonly active?: string;
  readonly activeCount?: string;
}

export class DecoderBuilder {
  readonly #spec: ModelSpec;
  readonly #buffers: ReadonlyMap<string, BufferDecl>;
  readonly #options: ProgramOptions;
  readonly #builder: ProgramBuilder;
  readonly #taps = new Map<string, string>();
  readonly #reads: WeightRead[] = [];
  readonly #exact: boolean;
  readonly #projections: ReadonlyMap<Role, Projection>;
  readonly #sparse: ReadonlySet<Site>;

  constructor(
    spec: ModelSpec,
    buffers: ReadonlyMap<string, BufferDecl>,
    options: ProgramOptions,
    builder: ProgramBuilder,
  ) {
    this.#spec = spec;
    this.#buffers = buffers;
    this.#options = options;
    this.#exact = options.sparsity === 'exact';
    this.#builder = builder;
    this.#projections = new Map(projections(spec).map((one) => [one.role, one]));
    this.#sparse = sparseSites(spec);
  }

  forward(): DecoderForward {
    const { numHiddenLayers } = this.#spec;
    let x = this.#embed();
    this.#taps.set('hidden.0', x);
    const layers: [number, number][] = [];
    for (let layer = 0; layer < numHiddenLayers; layer++) {
      const from = this.#builder.ops.length;
      x = this.#layer(layer, x);
      if (layer < numHiddenLayers - 1) this.#taps.set(`hidden.${layer + 1}`, x);
      layers.push([from, this.#builder.ops.length]);
    }
    return { builder: this.#builder, taps: this.#taps, logits: this.#logits(x), layers };
  }

  build(): DecoderProgram {
    const { numHiddenLayers } = this.#spec;
    this.#head(this.forward().logits);
    for (const tap of this.#options.taps ?? []) {
      const activation = this.#taps.get(tap);
      if (activation === undefined)
        throw new RelufyError(
          'option',
          `capture "${tap}": expected hidden.0 to hidden.${numHiddenLayers}, or qkv, o, upGate, preActivation or down with a layer from 0 to ${numHiddenLayers - 1}.`,
        );
      this.#builder.keep(activation);
    }
    for (const { activeCount } of this.#reads) if (activeCount) this.#builder.keep(activeCount);
    return { program: this.#builder.build(), taps: this.#taps, reads: this.#reads };
  }

  /** A weight, state or input buffer; undefined when the spec has none of that name. */
  #maybe(name: string): string | undefined {
    const buffer = this.#buffers.get(name);
    return buffer && this.#builder.use(buffer);
  }

  #use(name: string): string {
    const used = this.#maybe(name);
    if (used === undefined) throw new Error(`internal: no buffer "${name}"`);
    return used;
  }

  #activation(name: string, width: number, count: Dim = 'rows'): string {
    return this.#builder.activation(name, [count, width]);
  }

  #embed(): string {
    const { hiddenSize, embeddingSize, positions } = this.#spec;
    let x = this.#activation('embedding', embeddingSize);
    this.#builder.op('gather', { index: this.#use('tokens'), table: this.#use('embedTokens'), out: x });
    if (embeddingSize !== hiddenSize) {
      const out = this.#activation('projectedIn', hiddenSize);
      this.#product('projection', -1, 'projectIn', { x }, out);
      x = out;
    }
    const { multipliers, embeddingNorm } = this.#spec;
    if (multipliers && multipliers.embedding !== 1) x = this.#scaled(x, 'embedding', multipliers.embedding);
    if (embeddingNorm) {
      const out = this.#activation('embeddingNorm', hiddenSize);
      this.#norm('embeddingNorm', x, out);
      x = out;
    }
    if (positions.kind === 'learned') {
      const out = this.#activation('hidden.0', hiddenSize);
      const operands = { index: this.#use('positions'), table: this.#use('embedPositions'), residual: x, out };
      this.#builder.op('gather', operands);
      x = out;
    }
    return x;
  }

  #layer(layer: number, x: string): string {
    const { block, hiddenSize } = this.#spec;
    const name = (part: string) => `${part}.${layer}`;
    const next = this.#activation(`hidden.${layer + 1}`, hiddenSize);
    const mid = this.#activation(name('mid'), hiddenSize);
    switch (block.kind) {
      case 'preNorm': {
        this.#attention(layer, this.#normed(layer, 'attentionNorm', x), x, mid);
        this.#ffn(layer, this.#normed(layer, 'ffnNorm', mid), mid, next);
        return next;
      }
      case 'postNorm': {
        const sum = this.#activation(name('sum'), hiddenSize);
        const ffnSum = this.#activation(name('ffnSum'), hiddenSize);
        this.#attention(layer, { x }, x, sum);
        this.#norm(`layers.${layer}.attentionNorm`, sum, mid);
        this.#ffn(layer, { x: mid }, mid, ffnSum);
        this.#norm(`layers.${layer}.ffnNorm`, ffnSum, next);
        return next;
      }
      case 'parallel': {
        const normed = this.#normed(layer, 'attentionNorm', x);
        this.#attention(layer, normed, x, mid);
        this.#ffn(layer, hasOneNorm(this.#spec) ? normed : this.#normed(layer, 'ffnNorm', x), mid, next);
        return next;
      }
    }
  }

  #norm(name: string, x: string, out: string): void {
    const { kind, eps } = this.#spec.norm;
    const weight = this.#maybe(`${name}.weight`);
    if (kind === 'rms') this.#builder.op('rmsNorm', { x, weight, out }, { eps });
    else this.#builder.op('layerNorm', { x, weight, bias: this.#maybe(`${name}.bias`), out }, { eps });
  }

  /** A norm that feeds attention or an FFN: in stage 2 a ReLU follows, and its zeros are listed. */
  #normed(layer: number, norm: 'attentionNorm' | 'ffnNorm', x: string): SiteInput {
    const { hiddenSize } = this.#spec;
    const out = this.#activation(`${norm}.${layer}`, hiddenSize);
    this.#norm(`layers.${layer}.${norm}`, x, out);
    const site = norm === 'attentionNorm' ? 'qkv' : 'upGate';
    if (!this.#sparse.has(site)) return { x: this.#rounded(out, hiddenSize) };
    const rectified = this.#activation(`${norm}.relu.${layer}`, hiddenSize);
    this.#builder.op('activate', { x: out, out: rectified }, { kind: activationCodes.relu, threshold: 0 });
    return this.#select(`${norm}.${layer}`, this.#rounded(rectified, hiddenSize), hiddenSize);
  }

  /** The input of a linear layer, to 8 bits where the model was made so. What rounds to zero need not be read. */
  #rounded(x: string, width: number): string {
    if (!this.#spec.roundedInputs) return x;
    const out = this.#activation(`${x}.rounded`, width);
    this.#builder.op('roundRow', { x, out });
    return out;
  }

  #select(name: string, x: string, width: number): SiteInput {
    if (!this.#exact) return { x };
    const active = this.#builder.activation(`active.${name}`, ['rows', width], 'i32');
    const activeCount = this.#builder.activation(`activeCount.${name}`, ['rows'], 'i32');
    this.#builder.op('selectActive', { x, active, activeCount });
    return { x, active, activeCount };
  }

  /** out = residual + attention(input). */
  #attention(layer: number, input: SiteInput, residual: string, out: string): void {
    const { attention, positions } = this.#spec;
    const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = attention;
    const { q, kv, all } = headRows(this.#spec);
    this.#taps.set(`qkv.${layer}`, input.x);
    const qkv = this.#activation(`qkvOut.${layer}`, all);
    this.#project(layer, 'qkv', input, qkv);
    const rows = { positions: this.#use('positions'), slots: this.#use('slots') };
    if (attention.headNorm?.when === 'beforeRope') this.#headNorm(layer, qkv);
    if (positions.kind === 'rope' && (positions.layers?.[layer] ?? true)) {
      const operands = { x: qkv, positions: rows.positions, table: this.#use('ropeTable') };
      this.#builder.op('rope', operands, { heads: heads + kvHeads, headDim });
    }
    if (attention.headNorm?.when === 'afterRope') this.#headNorm(layer, qkv);
    const cache = { k: this.#use('kCache'), v: this.#use('vCache') };
    this.#builder.op('storeKv', { x: qkv, ...rows, ...cache }, { layer, firstKey: q, firstValue: q + kv });
    let mixed = this.#activation(`attention.${layer}`, q);
    const { window } = attention;
    const windowed = window !== undefined && (window.layers?.[layer] ?? true);
    this.#builder.op(
      'attention',
      { x: qkv, ...rows, ...cache, keyBias: this.#maybe('alibi'), out: mixed },
      { layer, heads, window: windowed ? window.size : 0, scale: headDim ** -0.5 },
    );
    if (attention.outNorm) mixed = this.#innerNorm(layer, 'outNorm', mixed, q);
    mixed = this.#rounded(mixed, q);
    this.#taps.set(`o.${layer}`, mixed);
    this.#project(layer, 'o', { x: this.#branch(mixed) }, out, residual);
  }

  /** Queries and keys, a head at a time, in place. */
  #headNorm(layer: number, x: string): void {
    const { numAttentionHeads, numKeyValueHeads, headDim, headNorm } = this.#spec.attention;
    if (headNorm === undefined) return;
    const [weight, bias] = ['weight', 'bias'].map((part) => this.#maybe(`layers.${layer}.headNorm.${part}`));
    const heads = numAttentionHeads + numKeyValueHeads;
    const centred = headNorm.kind === 'layer' ? 1 : 0;
    this.#builder.op('headNorm', { x, weight, bias }, { heads, headDim, centred, eps: headNorm.eps });
  }

  /** An RMS norm inside attention or FFN. */
  #innerNorm(layer: number, name: 'outNorm' | 'downNorm', x: string, width: number): string {
    const out = this.#activation(`${name}.${layer}`, width);
    const weight = this.#use(`layers.${layer}.${name}.weight`);
    this.#builder.op('rmsNorm', { x, weight, out }, { eps: this.#spec.norm.eps });
    return out;
  }

  #scaled(x: string, name: string, factor: number): string {
    const [count, width] = this.#builder.declaration(x).shape as [Dim, number];
    const out = this.#activation(`${name}.scaled`, width, count);
    this.#builder.op('activate', { x, out }, { kind: activationCodes.scale, threshold: factor });
    return out;
  }

  /** What goes into the last layer of a branch, times the residual multiplier; zeros stay zeros. */
  #branch(x: string): string {
    const { residual = 1 } = this.#spec.multipliers ?? {};
    return residual === 1 ? x : this.#scaled(x, x, residual);
  }

  /** out = residual + ffn(input). */
  #ffn(layer: number, input: SiteInput, residual: string, out: string): void {
    const { ffn, intermediateSize } = this.#spec;
    const name = (part: string) => `${part}.${layer}`;
    this.#taps.set(`upGate.${layer}`, input.x);
    const up = this.#activation(name('up'), intermediateSize);
    let h = this.#activation(name('down'), intermediateSize);
    if (ffn.kind === 'plain') {
      this.#project(layer, 'up', input, up);
      this.#taps.set(`preActivation.${layer}`, up);
      this.#activate(up, h);
    } else {
      const gate = this.#activation(name('gate'), intermediateSize);
      const gated = this.#activation(name('gated'), intermediateSize);
      this.#project(layer, 'gate', input, gate);
      this.#taps.set(`preActivation.${layer}`, gate);
      this.#activate(gate, gated);
      const behindGate = this.#projections.get('up')?.skips === 'outputs';
      const neurons = behindGate ? this.#select(name('gated'), gated, intermediateSize) : { x: gated };
      this.#rows(layer, `layers.${layer}.up`, input.x, neurons, up);
      const b = ffn.activateUp ? this.#activation(name('upActivated'), intermediateSize) : up;
      if (ffn.activateUp) this.#activate(up, b);
      this.#builder.op('multiply', { a: gated, b, out: h });
    }
    if (ffn.downNorm) h = this.#innerNorm(layer, 'downNorm', h, intermediateSize);
    h = this.#rounded(h, intermediateSize);
    this.#taps.set(`down.${layer}`, h);
    h = this.#branch(h);
    const hidden = this.#sparse.has('down') ? this.#select(name('down'), h, intermediateSize) : { x: h };
    this.#project(layer, 'down', hidden, out, residual);
  }

  #activate(x: string, out: string): void {
    const { kind, threshold } = this.#spec.ffn.activation;
    if (kind !== 'swish') {
      this.#builder.op('activate', { x, out }, { kind: activationCodes[kind], threshold });
      return;
    }
    // x sigmoid(beta x) = silu(beta x) / beta
    const width = this.#spec.intermediateSize;
    const [inner, outer] = ['inner', 'outer'].map((part) => this.#activation(`${out}.${part}`, width)) as [
      string,
      string,
    ];
    const { scale, silu } = activationCodes;
    this.#builder.op('activate', { x, out: inner }, { kind: scale, threshold });
    this.#builder.op('activate', { x: inner, out: outer }, { kind: silu, threshold: 0 });
    this.#builder.op('activate', { x: outer, out }, { kind: scale, threshold: 1 / threshold });
  }

  /** A linear layer of a block. */
  #project(layer: number, role: Role, input: SiteInput, out: string, residual?: string): void {
    const { site } = this.#projections.get(role) as Projection;
    this.#product(site, layer, `layers.${layer}.${role}`, input, out, residual);
  }

  /** A linear layer: input channels that are listed as active, or all. */
  #product(
    site: WeightRead['site'],
    layer: number,
    name: string,
    input: SiteInput,
    out: string,
    residual?: string,
  ): void {
    const weight = this.#maybe(`${name}.weight`) ?? this.#use(name);
    const operands = { ...this.#inputOf(weight, input.x), w: weight, bias: this.#maybe(`${name}.bias`), residual, out };
    const { active, activeCount } = input;
    if (active !== undefined && this.#buffers.get(weight)?.transposed) {
      this.#builder.op('axpyRows', { ...operands, active, activeCount });
      this.#read(site, layer, weight, activeCount);
    } else {
      this.#builder.op('linear', operands);
      this.#read(site, layer, weight);
    }
  }

  /** The up projection behind a gate: only the neurons that the gate lets through, or all. */
  #rows(layer: number, name: string, x: string, neurons: SiteInput, out: string): void {
    const weight = this.#use(`${name}.weight`);
    const operands = { ...this.#inputOf(weight, x), w: weight, bias: this.#maybe(`${name}.bias`), out };
    const { active, activeCount } = neurons;
    if (active === undefined) this.#builder.op('linear', operands);
    else this.#builder.op('gemvRows', { ...operands, active, activeCount });
    this.#read('up', layer, weight, activeCount);
  }

  #inputOf(weight: string, x: string): Readonly<Record<string, string>> {
    return this.#builder.inputOf(this.#buffers.get(weight) as BufferDecl, x);
  }

  #read(site: WeightRead['site'], layer: number, weight: string, activeCount?: string): void {
    const { shape, dtype } = this.#buffers.get(weight) as BufferDecl;
    const [rows, columns] = shape as [number, number];
    this.#reads.push({
      weight,
      site,
      layer,
      rowBytes: rowBytes(dtype, columns),
      rows,
      ...(activeCount !== undefined && { activeCount }),
    });
  }

  #logits(hidden: string): string {
    const { hiddenSize, embeddingSize, finalNorm, numHiddenLayers, vocabSize } = this.#spec;
    let x = this.#activation('lastHidden', hiddenSize, 'outputs');
    this.#builder.op('gather', { index: this.#use('outputRows'), table: hidden, out: x });
    if (finalNorm) {
      const out = this.#activation('finalNorm', hiddenSize, 'outputs');
      this.#norm('finalNorm', x, out);
      x = out;
    }
    if (embeddingSize !== hiddenSize) {
      const out = this.#activation('projectedOut', embeddingSize, 'outputs');
      this.#product('projection', -1, 'projectOut', { x }, out);
      x = out;
    }
    this.#taps.set(`hidden.${numHiddenLayers}`, x);
    const { multipliers, logitsSoftcap } = this.#spec;
    if (multipliers && multipliers.logits !== 1) x = this.#scaled(x, 'lastHidden', multipliers.logits);
    const logits = this.#activation('logits', vocabSize, 'outputs');
    const raw = logitsSoftcap === undefined ? logits : this.#activation('rawLogits', vocabSize, 'outputs');
    this.#product('head', -1, this.#spec.tieWordEmbeddings ? 'embedTokens' : 'lmHead', { x }, raw);
    if (logitsSoftcap !== undefined)
      this.#builder.op(
        'activate',
        { x: raw, out: logits },
        { kind: activationCodes.softcap, threshold: logitsSoftcap },
      );
    return logits;
  }

  #head(logits: string): void {
    if (this.#options.head !== 'logprobs') {
      this.#builder.keep(logits);
      return;
    }
    const logprob = this.#builder.activation('logprob', ['outputs']);
    const best = this.#builder.activation('best', ['outputs'], 'i32');
    this.#builder.op('logProb', { logits, target: this.#use('targets'), logprob, best });
    this.#builder.keep(logprob);
    this.#builder.keep(best);
  }
}
