// Whether the engine runs the build for relaxed SIMD, and runs it right. An engine may know the instructions and still
// get them wrong (after a flag, say), so a module of 75 bytes computes something first. Does not own which build is
// taken (backend.ts, modules.ts).

/**
 * (func (export "probe") (param i32 i32 f32) (result i32)): lane 2 of
 * relaxed_madd(splat x, splat x, relaxed_dot_i8x16_i7x16(splat a, splat b)), as an integer.
 */
const probe = 'AGFzbQEAAAABCAFgA39/fQF/AwIBAAcJAQVwcm9iZQAACigBJgEBeyAC/RMiAyADIAD9DyAB/Q/9kgL9pwH9+gH9hQL9+AH9GwIL';

let known: boolean | undefined;

export function relaxedSimdWorks(): boolean {
  known ??= compute();
  return known;
}

function compute(): boolean {
  const bytes = Uint8Array.from(atob(probe), (character) => character.charCodeAt(0));
  if (!WebAssembly.validate(bytes)) return false;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes));
  // 3 * 3 + 2 * (-127 * 15)
  return (exports.probe as (a: number, b: number, x: number) => number)(-127, 15, 3) === -3801;
}
