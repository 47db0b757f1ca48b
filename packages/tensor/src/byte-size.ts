// Sizes as people write them: 600MB, 1.5 GiB, 4096. Owns the units.

const units: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9, ki: 1024, mi: 2 ** 20, gi: 2 ** 30 };

/** Bytes; undefined for a text that names none. */
export function parseBytes(text: string): number | undefined {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*(?:([kmg]i?)?b?)$/i.exec(text.trim()) ?? [];
  const size = Number(amount) * (units[unit.toLowerCase()] as number);
  return Number.isFinite(size) && size > 0 ? Math.floor(size) : undefined;
}
