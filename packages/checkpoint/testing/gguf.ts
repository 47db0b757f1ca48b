// Builds GGUF files for tests, with any field wrong on request.
export interface CraftedGguf {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: number | bigint;
  readonly fieldCount?: number | bigint;
  /** Raw: the key, then everything after it (type and value). */
  readonly fields?: readonly (readonly [key: string, value: readonly number[]])[];
  /** Dimensions in GGML's order. */
  readonly tensors?: readonly {
    name: string;
    dims: readonly (number | bigint)[];
    type: number;
    offset: number | bigint;
  }[];
  readonly data?: Uint8Array;
  readonly alignment?: number;
}

export const u32 = (...values: number[]): number[] => [...new Uint8Array(Uint32Array.from(values).buffer)];
export const u64 = (...values: (number | bigint)[]): number[] => [
  ...new Uint8Array(BigUint64Array.from(values.map(BigInt)).buffer),
];
export const text = (value: string): number[] => {
  const bytes = [...new TextEncoder().encode(value)];
  return [...u64(bytes.length), ...bytes];
};
export const textField = (key: string, value: string) => [key, [...u32(8), ...text(value)]] as const;
export const u32Field = (key: string, value: number) => [key, u32(4, value)] as const;

export function gguf({
  magic = 'GGUF',
  version = 3,
  fields = [],
  tensors = [],
  data = new Uint8Array(0),
  alignment = 32,
  ...counts
}: CraftedGguf = {}): Uint8Array {
  const out = [...new TextEncoder().encode(magic), ...u32(version)];
  out.push(...u64(counts.tensorCount ?? tensors.length, counts.fieldCount ?? fields.length));
  for (const [key, value] of fields) out.push(...text(key), ...value);
  for (const { name, dims, type, offset } of tensors)
    out.push(...text(name), ...u32(dims.length), ...u64(...dims), ...u32(type), ...u64(offset));
  while (out.length % alignment !== 0) out.push(0);
  return Uint8Array.from([...out, ...data]);
}
