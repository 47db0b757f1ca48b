// GGUF keeps as f32 what config.json writes in decimals: 1e-05 becomes 0.000009999999747378752.
// Owns: the way back, the shortest decimal that rounds to the same f32.

export function shortestF32(value: number): number {
  for (let digits = 1; digits <= 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === Math.fround(value)) return candidate;
  }
  return value;
}
