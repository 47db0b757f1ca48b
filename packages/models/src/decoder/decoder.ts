// The decoder: from a spec to buffers and programs. One function builds every family; it reads facts of the spec.
// Does not own weights (load-weights.ts fills the buffers), memory (backends allocate it) or the ops (decoder-builder.ts).
import { type BufferDecl, ProgramBuilder } from '@relufy/tensor';
import type { ModelSpec } from '../spec.js';
import { type DecoderOptions, declareBuffers } from './decoder-buffers.js';
import { DecoderBuilder } from './decoder-builder.js';
import type { DecoderForward, DecoderProgram, ProgramOptions } from './decoder-program.js';

export interface Decoder {
  /** What the buffers were declared by. */
  readonly layout: ModelSpec;
  /** Everything that outlives a step: weights, KV cache, inputs. */
  readonly buffers: readonly BufferDecl[];
  /** Those of them that a checkpoint fills: weights, or state where they are trained. */
  readonly parameters: readonly BufferDecl[];
  /** Neurons of all layers whose rows are in memory; undefined: all are. */
  readonly neuronSlots: number | undefined;
  /** Small neurons that would have to be read are left out. */
  readonly favoursHeld: boolean;
  build(options: ProgramOptions): DecoderProgram;
  /** The dense ops of `build`, for a training step. Keeps nothing. */
  forward(name: string): DecoderForward;
}

/** `whole`: what programs compute that do not draft, where `layout` has a plan for those that do. */
export function buildDecoder(layout: ModelSpec, options: DecoderOptions, whole: ModelSpec = layout): Decoder {
  const parameters: BufferDecl[] = [];
  const declared = declareBuffers(layout, options).map((buffer): BufferDecl => {
    if (buffer.kind !== 'weight') return buffer;
    const parameter: BufferDecl = options.trained ? { ...buffer, kind: 'state' } : buffer;
    parameters.push(parameter);
    return parameter;
  });
  const buffers = new Map(declared.map((buffer) => [buffer.name, buffer]));
  const builder = (name: string, programOptions: ProgramOptions) =>
    new DecoderBuilder(
      { layout, spec: programOptions.drafts ? layout : whole },
      buffers,
      programOptions,
      new ProgramBuilder(name, options.limits, { differentiable: options.trained ?? false }),
    );
  return {
    layout,
    buffers: declared,
    parameters,
    neuronSlots: options.neuronSlots,
    favoursHeld: options.neuronSlots !== undefined && options.favoursHeld === true,
    build: (programOptions) => builder(`step ${programOptions.sparsity}`, programOptions).build(),
    forward: (name) => builder(name, { sparsity: 'dense' }).forward(),
  };
}
