// Products with weights in a decoder's program: dense, over listed inputs or for listed outputs, and what each one reads.
// Does not own what is listed (decoder-masks.ts) nor where a product stands (decoder-builder.ts).
import { type BufferDecl, RelufyError, rowBytes } from '@relufy/tensor';
import { fetchedName } from './decoder-buffers.js';
import type { NeuronList, ReadSite, WeightRead } from './decoder-program.js';
import type { DecoderScope, SiteInput } from './decoder-scope.js';
import { listedNeuronRoles, type Role } from './projections.js';

export class Products {
  readonly reads: WeightRead[] = [];
  /** Of each layer, the first list of its neurons that a product goes by. */
  readonly neurons = new Map<number, NeuronList>();
  readonly #scope: DecoderScope;
  readonly #readsAll: boolean;
  /** Layers whose listed neurons are in memory. */
  readonly #fetched = new Set<number>();

  /** `readsAll`: products read all weights, whatever lists there are. */
  constructor(scope: DecoderScope, readsAll: boolean) {
    this.#scope = scope;
    this.#readsAll = readsAll;
  }

  /** A linear layer: input channels that are listed as active, or all. */
  product(site: ReadSite, layer: number, name: string, input: SiteInput, out: string, residual?: string): void {
    const weight = this.#scope.maybe(`${name}.weight`) ?? this.#scope.use(name);
    const { active, activeCount } = input;
    const operands = {
      ...this.#inputOf(weight, input.x),
      ...this.#rowsOf(layer, weight, input),
      bias: this.#scope.maybe(`${name}.bias`),
      residual,
      out,
    };
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
    const { active, activeCount } = neurons ?? {};
    const operands = {
      ...this.#inputOf(weight, x),
      ...this.#rowsOf(layer, weight, neurons),
      bias: this.#scope.maybe(`${name}.bias`),
      out,
    };
    if (active === undefined || this.#readsAll) this.#scope.builder.op('linear', operands);
    else this.#scope.builder.op('gemvRows', { ...operands, active, activeCount });
    this.#read(site, layer, weight, activeCount);
    if (site === 'up') this.#listed(layer, active, activeCount);
  }

  /** A weight as operands of a product: in memory, or the rows of listed neurons, which come from a file before. */
  #rowsOf(layer: number, weight: string, list: SiteInput | undefined): Readonly<Record<string, string>> {
    const { builder, buffers, spec } = this.#scope;
    if (buffers.get(weight)?.kind !== 'stored') return { w: weight };
    if (list?.active === undefined || this.#readsAll)
      throw new RelufyError(
        'option',
        'sparsity: expected exact for a model that was loaded with a memoryBudget, whose neurons stay in its file, got dense.',
      );
    const roles = listedNeuronRoles(spec);
    const nameOf = (role: Role) => `layers.${layer}.${role}.weight`;
    const table = this.#scope.use(`layers.${layer}.table`);
    if (!this.#fetched.has(layer)) {
      this.#fetched.add(layer);
      const { active, activeCount } = list;
      const rows = roles.map((role, i) => [`${'abc'[i]}Rows`, this.#scope.use(fetchedName(role))]);
      const missing = builder.activation(`missing.${layer}`, [spec.intermediateSize], 'i32');
      const counters = this.#scope.use('neurons.counters');
      const operands = { active, activeCount, ...this.#stored(layer), ...Object.fromEntries(rows), counters, missing };
      builder.op('fetchRows', operands, { layer });
    }
    const role = roles.find((one) => nameOf(one) === weight) as Role;
    return { w: this.#scope.use(fetchedName(role)), table };
  }

  /** The rows of a layer's neurons that stay in a file, and who of them is in memory. */
  #stored(layer: number): Readonly<Record<string, string>> {
    const parts = listedNeuronRoles(this.#scope.spec).map((role, i) => [
      'abc'[i] as string,
      this.#scope.use(`layers.${layer}.${role}.weight`),
    ]);
    const [table, slots] = [this.#scope.use(`layers.${layer}.table`), this.#scope.use('neurons.slots')];
    return { ...Object.fromEntries(parts), table, slots };
  }

  /** The neurons of a layer stay in a file. */
  staysInFile(layer: number): boolean {
    const [role] = listedNeuronRoles(this.#scope.spec);
    return role !== undefined && this.#scope.buffers.get(`layers.${layer}.${role}.weight`)?.kind === 'stored';
  }

  /** What a layer will fetch is known before its turn: the file may be read ahead. */
  announce(layer: number, { active, activeCount }: SiteInput): void {
    this.#scope.builder.op('announceRows', { active, activeCount, ...this.#stored(layer) }, { layer });
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

  /** Products with two bits of each weight, whose bias is that of the weight they stand for. */
  twoBits(layer: number, of: string, x: string, bias: string | undefined, out: string): void {
    const [codes, scales] = [this.#scope.use(`${of}.codes`), this.#scope.use(`${of}.scales`)];
    this.#scope.builder.op('twoBitScores', { x, codes, scales, bias, out });
    for (const name of [codes, scales]) this.#read('predictor', layer, name);
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
