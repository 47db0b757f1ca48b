// Activations that a caller captures: from where a step leaves them to arrays of a whole sequence. Does not own which taps
// there are (decoder-program.ts).
import { elementsOf, type LoadedProgram } from '@relufy/tensor';
import type { DecoderProgram } from '../decoder/decoder-program.js';

/** The rows of a tap that a step has left, behind those of the steps before: [of, width]. */
export async function keepTap(
  { built, loaded }: { readonly built: DecoderProgram; readonly loaded: LoadedProgram },
  tap: string,
  captured: Record<string, Float32Array>,
  { rows, at, of }: { readonly rows: number; readonly at: number; readonly of: number },
): Promise<void> {
  const activation = built.taps.get(tap) as string;
  const width = built.program.buffers.get(activation)?.shape[1] as number;
  captured[tap] ??= new Float32Array(of * width);
  captured[tap].set(await elementsOf(loaded, activation, 0, rows * width), at * width);
}
