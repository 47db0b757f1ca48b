// The ops of a decoder: one pass over a spec, for every family, sparsity mode and set of taps. It reads facts of the spec
// and never a family's name. Does not own products (decoder-products.ts), masks (decoder-masks.ts), buffers
// (decoder-buffers.ts), recurrent layers (decoder-recurrent.ts) or who asks for programs (decoder.ts).
import { activationCodes, type BufferDecl, type ProgramBuilder, RelufyError } from '@relufy/tensor';
import { attentionOf, headRows, type ModelSpec } from '../spec.js';
import { hasOneNorm } from './decoder-buffers.js';
import { MaskedLayers } from './decoder-masks.js';
import { Products } from './decoder-products.js';
import { type DecoderForward, type DecoderProgram, ffnActivation, type ProgramOptions } from './decoder-program.js';
import { RecurrentLayers } from './decoder-recurrent.js';
import { DecoderScope, type SpecInLayout } from './decoder-scope.js';
import { isQkv } from './projections.js';

export class DecoderBuilder {
  readonly #spec: ModelSpec;
  readonly #options: ProgramOptions;
  readonly #builder: ProgramBuilder;
  readonly #taps: Map<string, string>;
  readonly #scope: DecoderScope;
  readonly #products: Products;
  readonly #masks: MaskedLayers;
  readonly #recurrent: RecurrentLayers;

  constructor(
    specs: SpecInLayout,
    buffers: ReadonlyMap<string, BufferDecl>,
    options: ProgramOptions,
    builder: ProgramBuilder,
  ) {
    this.#scope = new DecoderScope(specs, buffers, builder, options);
    this.#products = new Products(this.#scope, options.weights === 'all');
    this.#masks = new MaskedLayers(this.#scope, this.#products);
    this.#recurrent = new RecurrentLayers(this.#scope, this.#masks);
    this.#spec = specs.spec;
    this.#options = options;
    this.#builder = builder;
    this.#taps = this.#scope.taps;
  }

  forward(): DecoderForward {
    const { numHiddenLayers } = this.#spec;
    let x = this.#embed();
    this.#taps.set('hidden.0', x);
    this.#masks.lookAhead(0);
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
    const { logits, layers } = this.forward();
    this.#head(logits);
    for (const tap of this.#options.taps ?? []) {
      const activation = this.#taps.get(tap);
      if (activation === undefined)
        throw new RelufyError(
          'option',
          `capture "${tap}": expected hidden.0 to hidden.${numHiddenLayers}, or ${this.#tapNames()} with a layer from 0 to ${numHiddenLayers - 1}.`,
        );
      this.#builder.keep(activation);
    }
    for (const { activeCount } of this.#products.reads) if (activeCount) this.#builder.keep(activeCount);
    const neurons = this.#options.neurons ? [...this.#products.neurons.values()] : [];
    for (const { active } of neurons) this.#builder.keep(active);
    return { program: this.#builder.build(), taps: this.#taps, reads: this.#products.reads, neurons, layers };
  }

  #tapNames(): string {
    const names = [...this.#taps.keys()].map((tap) => tap.split('.', 1)[0] as string);
    return [...new Set(names)].filter((name) => name !== 'hidden').join(', ');
  }

  #embed(): string {
    const { hiddenSize, embeddingSize, positions } = this.#spec;
    let x = this.#scope.activation('embedding', embeddingSize);
    this.#builder.op('gather', { index: this.#scope.use('tokens'), table: this.#scope.use('embedTokens'), out: x });
    if (embeddingSize !== hiddenSize) {
      const out = this.#scope.activation('projectedIn', hiddenSize);
      this.#products.product('projection', -1, 'projectIn', { x }, out);
      x = out;
    }
    const { multipliers, embeddingNorm } = this.#spec;
    if (multipliers && multipliers.embedding !== 1) x = this.#scope.scaled(x, 'embedding', multipliers.embedding);
    if (embeddingNorm) {
      const out = this.#scope.activation('embeddingNorm', hiddenSize);
      this.#norm('embeddingNorm', x, out);
      x = out;
    }
    if (positions.kind === 'learned') {
      const out = this.#scope.activation('hidden.0', hiddenSize);
      const operands = {
        index: this.#scope.use('positions'),
        table: this.#scope.use('embedPositions'),
        residual: x,
        out,
      };
      this.#builder.op('gather', operands);
      x = out;
    }
    return x;
  }

  #layer(layer: number, x: string): string {
    const { block, hiddenSize } = this.#spec;
    const name = (part: string) => `${part}.${layer}`;
    const next = this.#scope.activation(`hidden.${layer + 1}`, hiddenSize);
    const mid = this.#scope.activation(name('mid'), hiddenSize);
    switch (block.kind) {
      case 'preNorm': {
        this.#mix(layer, this.#normed(layer, 'attentionNorm', x), x, mid);
        this.#ffn(layer, { normed: this.#normed(layer, 'ffnNorm', mid), before: mid }, mid, next);
        return next;
      }
      case 'postNorm': {
        const sum = this.#scope.activation(name('sum'), hiddenSize);
        const ffnSum = this.#scope.activation(name('ffnSum'), hiddenSize);
        this.#mix(layer, x, x, sum);
        this.#norm(`layers.${layer}.attentionNorm`, sum, mid);
        this.#ffn(layer, { normed: mid, before: mid }, mid, ffnSum);
        this.#norm(`layers.${layer}.ffnNorm`, ffnSum, next);
        return next;
      }
      case 'parallel': {
        const normed = this.#normed(layer, 'attentionNorm', x);
        this.#mix(layer, normed, x, mid);
        const ffnInput = hasOneNorm(this.#spec) ? normed : this.#normed(layer, 'ffnNorm', x);
        this.#ffn(layer, { normed: ffnInput, before: x }, mid, next);
        return next;
      }
    }
  }

  #norm(name: string, x: string, out: string, eps = this.#spec.norm.eps): void {
    const { kind } = this.#spec.norm;
    const weight = this.#scope.maybe(`${name}.weight`);
    if (kind === 'rms') this.#builder.op('rmsNorm', { x, weight, out }, { eps });
    else this.#builder.op('layerNorm', { x, weight, bias: this.#scope.maybe(`${name}.bias`), out }, { eps });
  }

  #normed(layer: number, norm: 'attentionNorm' | 'ffnNorm', x: string): string {
    const out = this.#scope.activation(`${norm}.${layer}`, this.#spec.hiddenSize);
    this.#norm(`layers.${layer}.${norm}`, x, out);
    return out;
  }

  /** out = residual + what the mixer makes of x and of the tokens before. */
  #mix(layer: number, x: string, residual: string, out: string): void {
    if (this.#spec.mixer.kind === 'attention') this.#attention(layer, x, residual, out);
    else this.#recurrent.timeMix(layer, x, residual, out);
  }

  /** out = residual + attention(x). */
  #attention(layer: number, x: string, residual: string, out: string): void {
    const { positions } = this.#spec;
    const attention = attentionOf(this.#spec);
    const { numAttentionHeads: heads, numKeyValueHeads: kvHeads, headDim } = attention;
    const { q, kv } = headRows(this.#spec);
    this.#taps.set(`qkv.${layer}`, this.#masks.inputAt(layer, 'q', x).x);
    const qkv = this.#queriesKeysValues(layer, x);
    const rows = { positions: this.#scope.use('positions'), slots: this.#scope.use('slots') };
    if (attention.headNorm?.when === 'beforeRope') this.#headNorm(layer, qkv);
    if (positions.kind === 'rope' && (positions.layers?.[layer] ?? true)) {
      const operands = { x: qkv, positions: rows.positions, table: this.#scope.use('ropeTable') };
      this.#builder.op('rope', operands, { heads: heads + kvHeads, headDim });
    }
    if (attention.headNorm?.when === 'afterRope') this.#headNorm(layer, qkv);
    const cache = { k: this.#scope.use('kCache'), v: this.#scope.use('vCache') };
    this.#builder.op('storeKv', { x: qkv, ...rows, ...cache }, { layer, firstKey: q, firstValue: q + kv });
    let mixed = this.#scope.activation(`attention.${layer}`, q);
    const { window } = attention;
    const windowed = window !== undefined && (window.layers?.[layer] ?? true);
    this.#builder.op(
      'attention',
      { x: qkv, ...rows, ...cache, keyBias: this.#scope.maybe('alibi'), out: mixed },
      { layer, heads, window: windowed ? window.size : 0, scale: headDim ** -0.5 },
    );
    if (attention.outNorm) mixed = this.#innerNorm(layer, 'outNorm', mixed, q);
    this.#masks.project(layer, 'o', this.#masks.lastInput(layer, 'o', mixed), out, residual);
  }

  /** [rows, queries | keys | values], by one product or by one for each part that has a mask of its own. */
  #queriesKeysValues(layer: number, x: string): string {
    const out = this.#scope.activation(`qkvOut.${layer}`, headRows(this.#spec).all);
    const parts = [...this.#masks.projections.values()].filter(({ role }) => isQkv(role));
    const outs = parts.map(({ role, out: width }) => {
      const to = parts.length === 1 ? out : this.#scope.activation(`${role}Out.${layer}`, width);
      this.#masks.project(layer, role, this.#masks.inputAt(layer, role[0] as 'q' | 'k' | 'v', x), to);
      return to;
    });
    const [a, b, c] = outs;
    if (a !== undefined && b !== undefined) this.#builder.op('concat', { a, b, c, out });
    return out;
  }

  /** Queries and keys, a head at a time, in place. */
  #headNorm(layer: number, x: string): void {
    const { numAttentionHeads, numKeyValueHeads, headDim, headNorm } = attentionOf(this.#spec);
    if (headNorm === undefined) return;
    const [weight, bias] = ['weight', 'bias'].map((part) => this.#scope.maybe(`layers.${layer}.headNorm.${part}`));
    const heads = numAttentionHeads + numKeyValueHeads;
    const centred = headNorm.kind === 'layer' ? 1 : 0;
    this.#builder.op('headNorm', { x, weight, bias }, { heads, headDim, centred, eps: headNorm.eps });
  }

  /** An RMS norm inside attention or FFN. */
  #innerNorm(layer: number, name: 'outNorm' | 'downNorm', x: string, width: number): string {
    const out = this.#scope.activation(`${name}.${layer}`, width);
    const weight = this.#scope.use(`layers.${layer}.${name}.weight`);
    this.#builder.op('rmsNorm', { x, weight, out }, { eps: this.#spec.norm.eps });
    return out;
  }

  /** out = residual + ffn(normed); `before`: what the norm was given. */
  #ffn(
    layer: number,
    { normed, before: unnormed }: { readonly normed: string; readonly before: string },
    residual: string,
    out: string,
  ): void {
    const { ffn, hiddenSize, intermediateSize } = this.#spec;
    const neuron = (part: string) => this.#scope.activation(`${part}.${layer}`, intermediateSize);
    const gated = ffn.kind === 'gated';
    const first = gated ? 'gate' : 'up';
    const pair = ffn.channelMix && this.#recurrent.withTokenBefore(layer, 'ffnShift', normed);
    const x = pair ? this.#recurrent.mixed(layer, 'up', pair) : normed;
    const input = this.#masks.inputAt(layer, first, x);
    this.#taps.set(`upGate.${layer}`, input.x);
    this.#taps.set(`ffnInput.${layer}`, x);
    this.#taps.set(`ffnResidual.${layer}`, unnormed);
    this.#masks.lookAhead(layer + 1);
    const foreseen = this.#masks.foreseen(layer, x, unnormed);
    let before = neuron(first);
    this.#masks.project(layer, first, input, before, undefined, foreseen);
    if (foreseen) {
      const all = before;
      before = neuron(`${first}Foreseen`);
      this.#builder.op('multiply', { a: foreseen.x, b: all, out: before });
    }
    this.#taps.set(`preActivation.${layer}`, before);
    let h = neuron(gated ? 'gated' : 'down');
    this.#activate(layer, before, h);
    if (gated) {
      const neurons = this.#masks.neurons(layer, h);
      const up = neuron('up');
      this.#masks.project(layer, 'up', this.#masks.inputAt(layer, 'up', x), up, undefined, neurons);
      const b = ffn.activateUp ? neuron('upActivated') : up;
      if (ffn.activateUp) this.#activate(layer, up, b);
      h = neuron('down');
      this.#builder.op('multiply', { a: neurons.x, b, out: h });
    }
    if (ffn.downNorm) h = this.#innerNorm(layer, 'downNorm', h, intermediateSize);
    const last = this.#masks.lastInput(layer, 'down', h);
    if (this.#options.phase === 'load') this.#masks.mark(layer);
    if (pair) {
      const y = this.#scope.activation(`ffnOut.${layer}`, hiddenSize);
      this.#masks.project(layer, 'down', last, y);
      this.#recurrent.channelGate(layer, pair, y, residual, out);
    } else this.#masks.project(layer, 'down', last, out, residual);
  }

  #activate(layer: number, x: string, out: string): void {
    const { kind, threshold } = this.#spec.ffn.activation;
    if (kind !== 'swish') {
      const tag = `${ffnActivation}.${layer}`;
      this.#builder.op('activate', { x, out }, { kind: activationCodes[kind], threshold }, tag);
      return;
    }
    // x sigmoid(beta x) = silu(beta x) / beta
    const width = this.#spec.intermediateSize;
    const [inner, outer] = ['inner', 'outer'].map((part) => this.#scope.activation(`${out}.${part}`, width)) as [
      string,
      string,
    ];
    const { scale, silu } = activationCodes;
    this.#builder.op('activate', { x, out: inner }, { kind: scale, threshold });
    this.#builder.op('activate', { x: inner, out: outer }, { kind: silu, threshold: 0 });
    this.#builder.op('activate', { x: outer, out }, { kind: scale, threshold: 1 / threshold });
  }

  #logits(hidden: string): string {
    const { hiddenSize, embeddingSize, finalNorm, norm, numHiddenLayers, vocabSize } = this.#spec;
    let x = this.#scope.activation('lastHidden', hiddenSize, 'outputs');
    this.#builder.op('gather', { index: this.#scope.use('outputRows'), table: hidden, out: x });
    if (finalNorm) {
      const out = this.#scope.activation('finalNorm', hiddenSize, 'outputs');
      this.#norm('finalNorm', x, out, norm.finalEps);
      x = out;
    }
    if (embeddingSize !== hiddenSize) {
      const out = this.#scope.activation('projectedOut', embeddingSize, 'outputs');
      this.#products.product('projection', -1, 'projectOut', { x }, out);
      x = out;
    }
    this.#taps.set(`hidden.${numHiddenLayers}`, x);
    const { multipliers, logitsSoftcap } = this.#spec;
    if (multipliers && multipliers.logits !== 1) x = this.#scope.scaled(x, 'lastHidden', multipliers.logits);
    const logits = this.#scope.activation('logits', vocabSize, 'outputs');
    const raw = logitsSoftcap === undefined ? logits : this.#scope.activation('rawLogits', vocabSize, 'outputs');
    this.#products.product('head', -1, this.#spec.tieWordEmbeddings ? 'embedTokens' : 'lmHead', { x }, raw);
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
    this.#builder.op('logProb', { logits, target: this.#scope.use('targets'), logprob, best });
    this.#builder.keep(logprob);
    this.#builder.keep(best);
  }
}
