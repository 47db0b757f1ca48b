// Builds zip archives for tests, with any field wrong on request.
export interface CraftedEntry {
  readonly name: string;
  readonly data: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  /** The size that the directory claims. */
  readonly size?: number;
  /** The offset that the directory claims. */
  readonly offset?: number;
  /** Puts the sizes into a Zip64 extra field. */
  readonly wide?: boolean;
}

export interface ZipChanges {
  readonly count?: number;
  readonly directoryOffset?: number;
  readonly comment?: Uint8Array;
  /** Ends the archive with the Zip64 records. */
  readonly wide?: boolean;
}

export function zip(entries: readonly CraftedEntry[], changes: ZipChanges = {}): Uint8Array {
  const out: number[] = [];
  const directory: number[] = [];
  for (const {
    name,
    data,
    method = 0,
    flags = 0,
    size = data.byteLength,
    offset = out.length,
    wide = false,
  } of entries) {
    const text = [...new TextEncoder().encode(name)];
    const padding = [0x46, 0x42, 3, 0, 0, 0, 0]; // torch aligns data by an extra field that the directory lacks
    out.push(...u32(0x04034b50), ...u16(20, flags, method, 0, 0), ...u32(0, size, size), ...u16(text.length, 7));
    out.push(...text, ...padding);
    for (const byte of data) out.push(byte); // too many for arguments
    const extra = wide ? [...u16(1, 24), ...u64(size, size, offset)] : [];
    const all = 0xffffffff;
    directory.push(...u32(0x02014b50), ...u16(20, 20, flags, method, 0, 0), ...u32(0));
    directory.push(...(wide ? u32(all, all) : u32(size, size)), ...u16(text.length, extra.length, 0, 0, 0), ...u32(0));
    directory.push(...u32(wide ? all : offset), ...text, ...extra);
  }
  const { count = entries.length, directoryOffset = out.length, comment = new Uint8Array(0), wide } = changes;
  out.push(...directory);
  if (wide) {
    const at = out.length;
    out.push(
      ...u32(0x06064b50),
      ...u64(44),
      ...u16(45, 45),
      ...u32(0, 0),
      ...u64(count, count, directory.length, directoryOffset),
    );
    out.push(...u32(0x07064b50, 0), ...u64(at), ...u32(1));
  }
  const all = 0xffffffff;
  out.push(...u32(0x06054b50), ...u16(0, 0), ...(wide ? u16(0xffff, 0xffff) : u16(count, count)));
  out.push(...(wide ? u32(all, all) : u32(directory.length, directoryOffset)), ...u16(comment.byteLength), ...comment);
  return Uint8Array.from(out);
}

const bytesOf = (values: readonly number[], size: number): number[] =>
  values.flatMap((value) => Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) % 256));
const u16 = (...values: number[]): number[] => bytesOf(values, 2);
const u32 = (...values: number[]): number[] => bytesOf(values, 4);
const u64 = (...values: number[]): number[] => bytesOf(values, 8);
