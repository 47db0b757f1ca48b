// The ops of a recurrent mixer and of an FFN with token shift: RWKV-4 (arXiv 2305.13048, 3.1).
// Does not own norms and residuals (decoder-builder.ts), masks (decoder-masks.ts), or the buffers (recurrent.ts).
import { activationCodes } from '@relufy/tensor';
import type { InputPlace } from '../sparsity/masks.js';
import { mixedWidth } from '../spec.js';
import type { MaskedLayers } from './decoder-masks.js';
import type { DecoderScope } from './decoder-scope.js';

/** A token's input and that of the token before, [rows, hiddenSize] each. */
interface TokenPair {
  readonly x: string;
  readonly before: string;
}

export class RecurrentLayers {
  readonly #scope: DecoderScope;
  readonly #masks: MaskedLayers;

  constructor(scope: DecoderScope, masks: MaskedLayers) {
    this.#scope = scope;
    this.#masks = masks;
  }

  /** out = residual + o(sigmoid(r) * wkv(k, v)), r, k and v by linear layers from x and the x of the token before. */
  timeMix(layer: number, x: string, residual: string, out: string): void {
    const { builder } = this.#scope;
    const pair = this.withTokenBefore(layer, 'shift', x);
    const width = mixedWidth(this.#scope.spec);
    const k = this.#projected(layer, 'k', pair, width);
    const r = this.#projected(layer, 'receptance', pair, width);
    const v = this.#projected(layer, 'v', pair, width);
    const wkv = this.#scope.activation(`wkv.${layer}`, width);
    builder.op('wkv', {
      k,
      v,
      decay: this.#scope.use(`layers.${layer}.timeDecay`),
      first: this.#scope.use(`layers.${layer}.timeFirst`),
      ...this.#rows(),
      state: this.#scope.use(`layers.${layer}.wkv`),
      out: wkv,
    });
    const gated = this.#scope.activation(`gatedWkv.${layer}`, width);
    this.#gate(`receptance.${layer}`, r, wkv, gated);
    this.#masks.project(layer, 'o', this.#masks.lastInput(layer, 'o', gated), out, residual);
  }

  withTokenBefore(layer: number, state: 'shift' | 'ffnShift', x: string): TokenPair {
    const before = this.#scope.activation(`${state}.${layer}`, this.#scope.widthOf(x));
    const operands = { x, ...this.#rows(), state: this.#scope.use(`layers.${layer}.${state}`), out: before };
    this.#scope.builder.op('tokenShift', operands);
    return { x, before };
  }

  /** The input of a linear layer, before its mask. */
  mixed(layer: number, place: InputPlace, { x, before }: TokenPair): string {
    const out = this.#scope.activation(`mixed.${place}.${layer}`, this.#scope.widthOf(x));
    const weight = this.#scope.use(`layers.${layer}.timeMix.${place}`);
    this.#scope.builder.op('mix', { a: x, b: before, weight, out });
    return out;
  }

  /** out = residual + sigmoid(r) * y, r by a linear layer of the pair. */
  channelGate(layer: number, pair: TokenPair, y: string, residual: string, out: string): void {
    const r = this.#projected(layer, 'ffnReceptance', pair, this.#scope.spec.hiddenSize);
    this.#gate(`ffnReceptance.${layer}`, r, y, out, residual);
  }

  #projected(layer: number, place: 'k' | 'receptance' | 'v' | 'ffnReceptance', pair: TokenPair, width: number): string {
    const input = this.#masks.inputAt(layer, place, this.mixed(layer, place, pair));
    this.#scope.taps.set(`${place}.${layer}`, input.x);
    const out = this.#scope.activation(`${place}Out.${layer}`, width);
    this.#masks.project(layer, place, input, out);
    return out;
  }

  #gate(name: string, r: string, x: string, out: string, residual?: string): void {
    const gate = this.#scope.activation(`${name}.sigmoid`, this.#scope.widthOf(r));
    this.#scope.builder.op('activate', { x: r, out: gate }, { kind: activationCodes.sigmoid, threshold: 0 });
    this.#scope.builder.op('multiply', { a: gate, b: x, residual, out });
  }

  #rows(): { readonly positions: string; readonly slots: string } {
    return { positions: this.#scope.use('positions'), slots: this.#scope.use('slots') };
  }
}
