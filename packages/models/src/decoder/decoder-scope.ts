// What the parts of a decoder's program share while it is built: the spec, its buffers, activations, taps.
// Does not own any layer (decoder-builder.ts), product (decoder-products.ts) or mask (decoder-masks.ts).
import { activationCodes, type BufferDecl, type Dim, type ProgramBuilder } from '@relufy/tensor';
import { type MaskPlace, sparsePlaces } from '../sparsity/masks.js';
import type { ModelSpec } from '../spec.js';
import type { ProgramOptions } from './decoder-program.js';

/** An activation and, when it is sparse, the list of its non-zero channels. */
export interface SiteInput {
  readonly x: string;
  readonly active?: string;
  readonly activeCount?: string;
}

export interface SpecInLayout {
  readonly spec: ModelSpec;
  readonly layout: ModelSpec;
}

export class DecoderScope {
  readonly spec: ModelSpec;
  /** What the buffers were declared by: the spec, or it under a plan that drafts. */
  readonly layout: ModelSpec;
  readonly buffers: ReadonlyMap<string, BufferDecl>;
  readonly builder: ProgramBuilder;
  /** Zeros are listed, so that what lies behind them is not read. */
  readonly exact: boolean;
  /** Whether neurons are marked, or left out because they are not. */
  readonly phase: ProgramOptions['phase'];
  readonly sparse: ReadonlySet<MaskPlace>;
  /** Tap -> activation. */
  readonly taps = new Map<string, string>();

  constructor(
    { spec, layout }: SpecInLayout,
    buffers: ReadonlyMap<string, BufferDecl>,
    builder: ProgramBuilder,
    { sparsity, phase }: ProgramOptions,
  ) {
    this.spec = spec;
    this.layout = layout;
    this.buffers = buffers;
    this.builder = builder;
    this.exact = sparsity === 'exact';
    this.phase = phase;
    const places = sparsePlaces(spec);
    // whatever the activation: it gives 0 for 0
    const gated = phase === 'reuse' && spec.ffn.kind === 'gated';
    this.sparse = gated ? new Set([...places, 'neurons']) : places;
  }

  /** A weight, state or input buffer; undefined when the spec has none of that name. */
  maybe(name: string): string | undefined {
    const buffer = this.buffers.get(name);
    return buffer && this.builder.use(buffer);
  }

  use(name: string): string {
    const used = this.maybe(name);
    if (used === undefined) throw new Error(`internal: no buffer "${name}"`);
    return used;
  }

  isTransposed(weight: string): boolean {
    return this.buffers.get(weight)?.transposed === true;
  }

  activation(name: string, width: number, count: Dim = 'rows'): string {
    return this.builder.activation(name, [count, width]);
  }

  widthOf(x: string): number {
    return this.builder.declaration(x).shape[1] as number;
  }

  select(x: string): SiteInput {
    if (!this.exact) return { x };
    const active = this.builder.activation(`active.${x}`, ['rows', this.widthOf(x)], 'i32');
    const activeCount = this.builder.activation(`activeCount.${x}`, ['rows'], 'i32');
    this.builder.op('selectActive', { x, active, activeCount });
    return { x, active, activeCount };
  }

  scaled(x: string, name: string, factor: number): string {
    const [count, width] = this.builder.declaration(x).shape as [Dim, number];
    const out = this.activation(`${name}.scaled`, width, count);
    this.builder.op('activate', { x, out }, { kind: activationCodes.scale, threshold: factor });
    return out;
  }
}
