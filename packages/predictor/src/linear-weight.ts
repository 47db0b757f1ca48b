// One linear layer's weight of a model in memory, in f32, whatever its format, its layout and the matrix that it is a part of.
// Does not own the memory (subject.ts).
import { headRows, type InputPlace, type ModelSpec } from '@relufy/models';
import { weightRows } from '@relufy/sparsity';
import type { BufferDecl, HostSession } from '@relufy/tensor';

/** A weight in f32, [out, in]. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

/** What is run: dequantised. */
export function linearWeight(
  {
    spec,
    buffers,
    session,
  }: {
    readonly spec: ModelSpec;
    readonly buffers: ReadonlyMap<string, BufferDecl>;
    readonly session: Pick<HostSession, 'view'>;
  },
  layer: number,
  place: InputPlace,
): Matrix {
  const roles = place.length === 1 && place !== 'o' ? ['qkv', 'qk', 'kv', place] : [place];
  const role = roles.find((one) => one.includes(place) && buffers.has(`layers.${layer}.${one}.weight`));
  const name = `layers.${layer}.${role}.weight`;
  const whole = weightRows(buffers.get(name) as BufferDecl, session.view(name));
  const parts = role === place || place === 'o' ? [place] : [...(role as string)];
  if (parts.length === 1) return whole;
  const { q, kv } = headRows(spec);
  const sizes = parts.map((part) => (part === 'q' ? q : kv));
  const at = parts.indexOf(place);
  const first = sizes.slice(0, at).reduce((sum, size) => sum + size, 0);
  const rows = sizes[at] as number;
  const values = whole.values.slice(first * whole.columns, (first + rows) * whole.columns);
  return { rows, columns: whole.columns, values };
}
