// Products with weights in a decoder's program: dense, over listed inputs or for listed outputs, and what each one reads.
// Does not own what is listed (decoder-masks.ts) nor where a product stands (decoder-builder.ts).
import { type BufferDecl, rowBytes } from '@relufy/tensor';
import type { NeuronList, ReadSite, WeightRead } from './decoder-program.js';
import type { DecoderScope, SiteInput } from './decoder-scope.js';

export class Products {
  readonly reads: WeightRead[] = [];
  /** Of each layer, the first list of its neurons that a product goes by. */
  readonly neurons = new Map<number, NeuronList>();
  readonly #scope: DecoderScope;
  readonly #readsAll: boolean;

  /** `readsAll`: products read all weights, whatever lists there are. */
  constructor(scope: DecoderScope, readsAll: boolean) {
    this.#scope = scope;
    this.#readsAll = readsAll;
  }

  /** A linear layer: input channels that are listed as active, or all. */
  product(site: ReadSite, layer: number, name: string, input: SiteInput, out: string, residual?: string): void {
    const weight = this.#scope.maybe(`${name}.weight`) ?? this.#scope.use(name);
    const operands = {
      ...this.#inputOf(weight, input.x),
      w: weight,
      bias: this.#scope.maybe(`${name}.bias`),
      residual,
      out,
    };
    const { active, activeCount } = input;
    if (active !== undefined && this.#scope.buffers.get(weight)?.transposed) {
      if (this.#readsAll) this.#scope.builder.op('linear', operands);
      else this.#scope.builder.op('axpyRows', { ...operands, active, activeCount });
      this.#read(site, layer, weight, activeCount);
      if (site === 'down') this.#listed(layer, active, activeCount);
    } else {
      this.#scope.builder.op('linear', operands);
      this.#read(site, layer, weight);
    }
  }

  /** Outputs of the neurons that are listed, or of all. Others are left as they are: what follows does not read them. */
  rows(site: ReadSite, layer: number, name: string, x: string, neurons: SiteInput | undefined, out: string): void {
    const weight = this.#scope.use(`${name}.weight`);
    const operands = { ...this.#inputOf(weight, x), w: weight, bias: this.#scope.maybe(`${name}.bias`), out };
    const { active, activeCount } = neurons ?? {};
    if (active === undefined || this.#readsAll) this.#scope.builder.op('linear', operands);
    else this.#scope.builder.op('gemvRows', { ...operands, active, activeCount });
    this.#read(site, layer, weight, activeCount);
    if (site === 'up') this.#listed(layer, active, activeCount);
  }

  #listed(layer: number, active: string | undefined, activeCount: string | undefined): void {
    if (active === undefined || activeCount === undefined || this.neurons.has(layer)) return;
    this.neurons.set(layer, { layer, active, activeCount });
  }

  /** How many signs agree with those of each neuron's weights. */
  signs(layer: number, name: string, x: string, out: string): void {
    const signs = this.#scope.use(name);
    this.#scope.builder.op('agreeingSigns', { x, signs, out });
    this.#read('predictor', layer, signs);
  }

  /** A predictor's numbers that are no product's: read whole. */
  readWhole(layer: number, name: string): void {
    this.#read('predictor', layer, this.#scope.use(name));
  }

  #inputOf(weight: string, x: string): Readonly<Record<string, string>> {
    return this.#scope.builder.inputOf(this.#scope.buffers.get(weight) as BufferDecl, x);
  }

  #read(site: ReadSite, layer: number, weight: string, activeCount?: string): void {
    const { shape, dtype } = this.#scope.buffers.get(weight) as BufferDecl;
    const [rows, columns = 1] = shape as [number, number?];
    this.reads.push({
      weight,
      site,
      layer,
      rowBytes: rowBytes(dtype, columns),
      rows,
      ...(activeCount !== undefined && { activeCount }),
    });
  }
}
