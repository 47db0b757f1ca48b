// The decoder: from a spec to buffers and programs. One function builds every family; it reads facts of the spec.
// Does not own weights (load-weights.ts fills the buffers), memory (backends allocate it) or the ops (decoder-builder.ts).
import { type BufferDecl, ProgramBuilder } from '@relufy/tensor';
import { type DecoderOptions, declareBuffers } from './decoder-buffers.js';
import { DecoderBuilder } from './decoder-builder.js';
import type { DecoderForward, DecoderProgram, ProgramOptions } from './decoder-program.js';
import type { ModelSpec } from './spec.js';

export interface Decoder {
  /** Everything that outlives a step: weights, KV cache, inputs. */
  readonly buffers: readonly BufferDecl[];
  /** Those of them that a checkpoint fills: weights, or state where they are trained. */
  readonly parameters: readonly BufferDecl[];
  build(options: ProgramOptions): DecoderProgram;
  /** The dense ops of `build`, for a training step. Keeps nothing. */
  forward(name: string): DecoderForward;
}

export function buildDecoder(spec: ModelSpec, options: DecoderOptions): Decoder {
  const parameters: BufferDecl[] = [];
  const declared = declareBuffers(spec, options).map((buffer): BufferDecl => {
    if (buffer.kind !== 'weight') return buffer;
    const parameter: BufferDecl = options.trained ? { ...buffer, kind: 'state' } : buffer;
    parameters.push(parameter);
    return parameter;
  });
  const buffers = new Map(declared.map((buffer) => [buffer.name, buffer]));
  const builder = (name: string, programOptions: ProgramOptions) =>
    new DecoderBuilder(
      spec,
      buffers,
      programOptions,
      new ProgramBuilder(name, options.limits, { differentiable: options.trained ?? false }),
    );
  return {
    buffers: declared,
    parameters,
    build: (programOptions) => builder(`step ${programOptions.sparsity}`, programOptions).build(),
    forward: (name) => builder(name, { sparsity: 'dense' }).forward(),
  };
}
