// Masks in a decoder's program: what goes into a linear layer, with zeros written and listed, what a plan adds to its
// output, and which neurons are computed. Does not own the rules (masks.ts) or the order of layers (decoder-builder.ts).
import { activationCodes } from '@relufy/tensor';
import { judgedRole } from '../sparsity/judged-weight.js';
import { type MaskPlace, maskAt, placesName, predictsAt } from '../sparsity/masks.js';
import { favouredName } from './decoder-buffers.js';
import type { Products } from './decoder-products.js';
import type { DecoderScope, SiteInput } from './decoder-scope.js';
import { isQkv, type Projection, projections, type Role } from './projections.js';

/** What goes into a linear layer, and what it was before its mask. */
export interface MaskedInput extends SiteInput {
  readonly whole: string;
}

export class MaskedLayers {
  readonly projections: ReadonlyMap<Role, Projection>;
  readonly #scope: DecoderScope;
  readonly #products: Products;
  readonly #made = new Map<string, MaskedInput>();
  readonly #branches = new Map<string, string>();
  /** What predictors said before the turn of their layer. */
  readonly #ahead = new Map<number, SiteInput>();

  constructor(scope: DecoderScope, products: Products) {
    this.#scope = scope;
    this.#products = products;
    this.projections = new Map(projections(scope.spec, scope.layout).map((one) => [one.role, one]));
  }

  /** What goes into a linear layer at a place: masked, rounded, its zeros listed. Made once for all that share a mask. */
  inputAt(layer: number, place: MaskPlace, x: string): MaskedInput {
    const mask = maskAt(this.#scope.spec, place);
    const key = `${x} ${mask === undefined || mask.kind === 'relu' ? mask?.kind : placesName(mask.at)}`;
    const made = this.#made.get(key);
    if (made !== undefined) return made;
    const input = { ...this.#listed(place, this.#prepared(layer, place, x)), whole: x };
    this.#made.set(key, input);
    return input;
  }

  /** The same for the last layer of a branch, whose input is multiplied by the residual multiplier. */
  lastInput(layer: number, place: 'o' | 'down', x: string): MaskedInput {
    const isList = place === 'down' && !this.projections.has('gate');
    const own = this.#prepared(layer, place, x);
    const prepared = isList ? this.#favoured(layer, own) : own;
    this.#scope.taps.set(`${place}.${layer}`, prepared);
    return { ...this.#listed(place, this.#branch(prepared)), whole: x };
  }

  /** A linear layer of a block: of the listed `neurons` alone where its rows may be skipped. */
  project(
    layer: number,
    role: Role,
    input: MaskedInput,
    out: string,
    residual?: string,
    neurons: SiteInput | undefined = undefined,
  ): void {
    const one = this.projections.get(role) as Projection;
    const name = `layers.${layer}.${role}`;
    const skipsListed = neurons?.active !== undefined && !one.lowRank && !this.#scope.isTransposed(`${name}.weight`);
    if (one.skips === 'outputs' || skipsListed) {
      const site = role === 'up' && this.projections.has('gate') ? 'up' : one.site;
      this.#products.rows(site, layer, name, input.x, neurons, out);
    } else
      this.#products.product(
        isQkv(role) ? role : one.site,
        layer,
        name,
        input,
        out,
        this.#lowRank(layer, one, input, residual),
      );
  }

  /** What the gate lets through, its zeros listed where it has any by design. */
  neurons(layer: number, x: string): SiteInput {
    const kept = this.#favoured(layer, this.#masked(layer, 'neurons', x));
    if (this.#scope.sparse.has('neurons')) this.#scope.taps.set(`neurons.${layer}`, kept);
    return this.#listed('neurons', kept);
  }

  /**
   * 1 for each neuron that the predictor takes for active and that earlier tokens loaded, where there are such; else 0.
   * `residual`: what the FFN's norm is given.
   */
  foreseen(layer: number, x: string, residual: string): SiteInput | undefined {
    const known = this.#ahead.get(layer);
    if (known !== undefined) return known;
    const [predicted, loaded] = [this.#predicted(layer, x, residual), this.#loaded(layer)];
    let foreseen = predicted ?? loaded;
    if (foreseen === undefined) return undefined;
    if (predicted && loaded) {
      foreseen = this.#scope.activation(`foreseen.both.${layer}`, this.#scope.spec.intermediateSize);
      this.#scope.builder.op('multiply', { a: predicted, b: loaded, out: foreseen });
    }
    this.#scope.taps.set(`foreseen.${layer}`, foreseen);
    return this.#scope.select(foreseen);
  }

  /**
   * Where a layer's predictor is fed what is there a layer earlier, and its neurons stay in a file: asks it now, so that the
   * disk works while this layer computes. What it says is the same as in its turn.
   */
  lookAhead(layer: number): void {
    const { spec, phase } = this.#scope;
    const looks = spec.predictor?.kind === undefined && spec.predictor?.input === 'lookahead';
    if (!looks || phase === 'reuse' || layer >= spec.numHiddenLayers || !this.#products.staysInFile(layer)) return;
    const before = this.#layerBefore(layer);
    const predicted = this.#predicted(layer, before, before);
    if (predicted === undefined) return;
    this.#scope.taps.set(`foreseen.${layer}`, predicted);
    const list = this.#scope.select(predicted);
    this.#ahead.set(layer, list);
    if (list.active !== undefined) this.#products.announce(layer, list);
  }

  /** Without small neurons whose rows would have to be read, where the decoder is built so. What decides stays for the host. */
  #favoured(layer: number, x: string): string {
    const thresholds = this.#scope.maybe(favouredName(layer));
    if (thresholds === undefined) return x;
    this.#scope.builder.keep(x);
    this.#scope.taps.set(`unfavoured.${layer}`, x);
    const out = this.#scope.activation(`${x}.favoured`, this.#scope.widthOf(x));
    this.#scope.builder.op('activate', { x, thresholds, out }, { kind: activationCodes.magnitude, threshold: 0 });
    return out;
  }

  /** Marks the neurons that are not zero before `down`, for the rows' slots. */
  mark(layer: number): void {
    const x = this.#scope.taps.get(`down.${layer}`) as string;
    const operands = { x, slots: this.#scope.use('slots'), marks: this.#scope.use(`layers.${layer}.loaded`) };
    this.#scope.builder.op('markActive', operands);
  }

  /** The marks of the rows' slots, where a program reuses. */
  #loaded(layer: number): string | undefined {
    if (this.#scope.phase !== 'reuse') return undefined;
    const out = this.#scope.activation(`loaded.${layer}`, this.#scope.spec.intermediateSize);
    const table = this.#scope.use(`layers.${layer}.loaded`);
    this.#scope.builder.op('gather', { index: this.#scope.use('slots'), table, out });
    return out;
  }

  #predicted(layer: number, x: string, residual: string): string | undefined {
    const { predictor, intermediateSize } = this.#scope.spec;
    if (predictor === undefined || !predictsAt(this.#scope.spec, layer)) return undefined;
    const of = `layers.${layer}.predictor`;
    const scores = this.#scope.activation(`predictor.scores.${layer}`, intermediateSize);
    if (predictor.kind === 'signs') {
      this.#products.signs(layer, `${of}.signs`, x, scores);
    } else if (predictor.kind === 'two-bit') {
      const bias = this.#scope.maybe(`layers.${layer}.${judgedRole(this.#scope.spec)}.bias`);
      this.#products.twoBits(layer, of, x, bias, scores);
    } else if (predictor.kind === 'partial') {
      const kept = this.#scope.activation(`predictor.inputs.${layer}`, this.#scope.widthOf(x));
      const k = predictor.inputs[layer] as number;
      this.#scope.builder.op('keepTop', { x, strength: this.#scope.maybe('maskStrength'), out: kept }, { k });
      this.#products.product('predictor', layer, `${of}.gate`, this.#scope.select(kept), scores);
    } else {
      const rank = predictor.rank[layer] as number;
      let inner = this.#scope.activation(`predictor.${layer}`, rank);
      const fed = { normed: x, residual, lookahead: this.#layerBefore(layer) }[predictor.input ?? 'normed'];
      this.#products.product('predictor', layer, `${of}.a`, { x: fed }, inner);
      if (predictor.relu) {
        const out = this.#scope.activation(`predictor.relu.${layer}`, rank);
        this.#scope.builder.op('activate', { x: inner, out }, { kind: activationCodes.relu, threshold: 0 });
        inner = out;
      }
      this.#products.product('predictor', layer, `${of}.b`, { x: inner }, scores);
    }
    this.#scope.taps.set(`predictorScores.${layer}`, scores);
    if (predictor.perNeuron) this.#products.readWhole(layer, `${of}.threshold`);
    const predicted = this.#scope.activation(`predicted.${layer}`, intermediateSize);
    this.#threshold('step', scores, of, predicted);
    return predicted;
  }

  /** What the norm of the FFN one layer earlier is given; in the first layer the embeddings. */
  #layerBefore(layer: number): string {
    return this.#scope.taps.get(layer === 0 ? 'hidden.0' : `ffnResidual.${layer - 1}`) as string;
  }

  /** With its zeros listed, where the place has any by design. */
  #listed(place: MaskPlace, x: string): SiteInput {
    return this.#scope.sparse.has(place) ? this.#scope.select(x) : { x };
  }

  /** What the mask at a place leaves of x, in 8 bits where the model was made so. What rounds to zero need not be read. */
  #prepared(layer: number, place: MaskPlace, x: string): string {
    const masked = this.#masked(layer, place, x);
    if (!this.#scope.spec.roundedInputs) return masked;
    const out = this.#scope.activation(`${masked}.rounded`, this.#scope.widthOf(x));
    this.#scope.builder.op('roundRow', { x: masked, out });
    return out;
  }

  /** What the mask at a place leaves of x, if there is one: zeros elsewhere, in dense programs too. */
  #masked(layer: number, place: MaskPlace, x: string): string {
    const mask = maskAt(this.#scope.spec, place);
    if (mask === undefined) return x;
    const name = placesName(mask.at);
    const out = this.#scope.activation(`${x}.${mask.kind === 'relu' ? 'relu' : name}`, this.#scope.widthOf(x));
    const of = `layers.${layer}.${name}`;
    const strength = this.#scope.maybe('maskStrength');
    switch (mask.kind) {
      case 'relu':
        this.#scope.builder.op('activate', { x, out }, { kind: activationCodes.relu, threshold: 0 });
        break;
      case 'magnitude':
        this.#threshold(mask.keepsTies ? 'magnitudeOrEqual' : 'magnitude', x, of, out);
        break;
      case 'top': {
        const { k, groupSize = 1, within = 0 } = mask;
        const operands = { x, scale: this.#scope.maybe(`${of}.scale`), strength, out };
        this.#scope.builder.op('keepTop', operands, { k: k[layer] as number, groupSize, within });
      }
    }
    this.#scope.taps.set(`${name}.${layer}`, out);
    return out;
  }

  /** x against the thresholds of `of`. */
  #threshold(code: 'magnitude' | 'magnitudeOrEqual' | 'remainder' | 'step', x: string, of: string, out: string): void {
    const operands = {
      x,
      thresholds: this.#scope.use(`${of}.threshold`),
      strength: this.#scope.maybe('maskStrength'),
      out,
    };
    this.#scope.builder.op('activate', operands, { kind: activationCodes[code], threshold: 0 });
  }

  /** What goes into the last layer of a branch, times the residual multiplier; zeros stay zeros. */
  #branch(x: string): string {
    const { residual = 1 } = this.#scope.spec.multipliers ?? {};
    if (residual === 1) return x;
    // a low-rank product may be fed what the layer itself is fed
    const scaled = this.#branches.get(x) ?? this.#scope.scaled(x, x, residual);
    this.#branches.set(x, scaled);
    return scaled;
  }

  /** residual + b a x', what a plan adds to a linear layer's output. */
  #lowRank(layer: number, one: Projection, { whole }: MaskedInput, residual: string | undefined): string | undefined {
    const { role, mask, lowRank, out: width } = one;
    const rank = lowRank?.rank[layer] ?? 0;
    if (rank === 0) return residual;
    let x = whole;
    if (lowRank?.input === 'remainder' && mask) {
      x = this.#scope.activation(`${role}Remainder.${layer}`, one.in);
      this.#threshold('remainder', whole, `layers.${layer}.${placesName(mask.at)}`, x);
    }
    if (role === 'o' || role === 'down') x = this.#branch(x);
    const of = `layers.${layer}.${role}.lowRank`;
    const inner = this.#scope.activation(`${role}LowRank.${layer}`, rank);
    this.#products.product('lowRank', layer, `${of}.a`, { x }, inner);
    const out = this.#scope.activation(`${role}LowRankOut.${layer}`, width);
    this.#products.product('lowRank', layer, `${of}.b`, { x: inner }, out, residual);
    return out;
  }
}
