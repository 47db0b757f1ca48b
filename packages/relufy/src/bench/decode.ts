// Decoding and prefill of a synthetic Llama-shaped model: tokens/s, the % of peak read bandwidth that dense decoding
// reaches, and GFLOP/s of the prefill. Weights are random, so sparsity here is what random weights give (about half).

import { buildDecoder, type Decoder, type ModelSpec, parseConfig } from '@relufy/models';
import type { Backend, DType, LoadedProgram, Session } from '@relufy/tensor';
import { takeTurns } from './measure.js';
import { fillBuffer, fillRandom } from './synthetic.js';

export interface DecodeResult {
  readonly dtype: DType;
  readonly weightBytes: number;
  readonly tokensPerSecond: number;
  readonly gigabytesPerSecond: number;
  readonly spread: number;
  readonly prefillTokensPerSecond: number;
  readonly prefillGflops: number;
}

/** TinyLlama-1.1B in shape, with as many layers as give `bytes` of weights. */
export function llamaShape(dtype: DType, bytes: number): ModelSpec {
  const [hiddenSize, intermediateSize, kvHeads, headDim, vocabSize] = [2048, 5632, 4, 64, 32000];
  const size = dtype === 'f32' ? 4 : dtype === 'bf16' ? 2 : dtype === 'int8' ? 1.0625 : 0.5625;
  const layer = hiddenSize * (2 * hiddenSize + 2 * kvHeads * headDim + 3 * intermediateSize) * size;
  return {
    vocabSize,
    hiddenSize,
    intermediateSize,
    numHiddenLayers: Math.ceil((bytes - vocabSize * hiddenSize * size) / layer),
    maxPositionEmbeddings: 2048,
    tieWordEmbeddings: true,
    embeddingSize: hiddenSize,
    norm: { kind: 'rms', eps: 1e-5, weight: true, bias: false },
    finalNorm: true,
    positions: {
      kind: 'rope',
      ropeTheta: 10000,
      rotaryDim: headDim,
      scaling: { kind: 'none' },
      frequencyDType: 'f32',
    },
    block: { kind: 'preNorm' },
    mixer: {
      kind: 'attention',
      numAttentionHeads: 32,
      numKeyValueHeads: kvHeads,
      headDim,
      qkvBias: false,
      outBias: false,
    },
    ffn: { kind: 'gated', activation: { kind: 'silu', threshold: 0 }, bias: false },
  };
}

/** All 22 layers of it. A plain FFN is as wide as makes its weights as many. */
export function tinyLlamaShape(kind: 'gated' | 'plain'): ModelSpec {
  const gated = llamaShape('bf16', 0);
  const intermediateSize = kind === 'gated' ? gated.intermediateSize : (gated.intermediateSize * 3) / 2;
  return { ...gated, numHiddenLayers: 22, intermediateSize, ffn: { ...gated.ffn, kind } };
}

/** RWKV-4-169M: a recurrent mixer, and a ReLU^2 in its FFN. */
export const rwkvShape = (): ModelSpec =>
  parseConfig({
    ...{ model_type: 'rwkv', hidden_size: 768, num_hidden_layers: 12, vocab_size: 50277, context_length: 1024 },
  }).spec;

export async function benchDecode(
  backend: Backend,
  dtype: DType,
  bytes: number,
  seconds: number,
): Promise<DecodeResult> {
  const spec = llamaShape(dtype, bytes);
  const limits = { maxRows: 128, maxOutputs: 1 };
  const decoder = buildDecoder(spec, { limits, slots: 1, contextLength: 512, matrixDType: () => dtype });
  const session = await backend.createSession(decoder.buffers, limits);
  try {
    for (const [seed, decl] of decoder.buffers.entries())
      if (decl.kind === 'weight' || decl.kind === 'constant')
        await fillBuffer(session, decl, limits, (view) => fillRandom(view, decl, seed + 1));
    const { program, reads } = decoder.build({ sparsity: 'dense' });
    const loaded = session.load(program);
    const weightBytes = reads.reduce((sum, { rowBytes, rows }) => sum + rowBytes * rows, 0);
    await check(session, decoder, loaded);
    const times = await takeTurns({ decode: () => decodeStep(session, loaded) }, { seconds });
    const prefill = await takeTurns(
      { prefill: () => prefillStep(session, loaded) },
      { seconds, warmups: 1, minRounds: 3 },
    );
    // the head runs for one row only
    const macs = reads.reduce((sum, { weight, rows }) => {
      const columns = decoder.buffers.find(({ name }) => name === weight)?.shape[1] as number;
      return sum + rows * columns * (weight === 'embedTokens' ? 1 : limits.maxRows);
    }, 0);
    return {
      dtype,
      weightBytes,
      tokensPerSecond: 1000 / times.decode.ms,
      gigabytesPerSecond: weightBytes / times.decode.ms / 1e6,
      spread: times.decode.spread,
      prefillTokensPerSecond: (limits.maxRows * 1000) / prefill.prefill.ms,
      prefillGflops: (2 * macs) / prefill.prefill.ms / 1e6,
    };
  } finally {
    await session.dispose();
  }
}

async function write(session: Session, firstPosition: number, rows: number): Promise<void> {
  const positions = Int32Array.from({ length: rows }, (_, row) => firstPosition + row);
  const tokens = positions.map((position) => (position * 7919) % 32000);
  const inputs = { tokens, positions, slots: new Int32Array(rows), outputRows: [rows - 1] };
  for (const [name, values] of Object.entries(inputs)) await session.write(name, values);
}

async function decodeStep(session: Session, loaded: LoadedProgram): Promise<void> {
  await write(session, 128, 1);
  await loaded.run({ rows: 1, outputs: 1 });
}

async function prefillStep(session: Session, loaded: LoadedProgram): Promise<void> {
  await write(session, 0, 128);
  await loaded.run({ rows: 128, outputs: 1 });
}

/** A token has the same logits, bit for bit, whether it comes alone or at the end of a chunk. */
async function check(session: Session, _decoder: Decoder, loaded: LoadedProgram): Promise<void> {
  await prefillStep(session, loaded);
  const together = (await loaded.read('logits')) as Float32Array;
  await write(session, 127, 1);
  await loaded.run({ rows: 1, outputs: 1 });
  const alone = (await loaded.read('logits')) as Float32Array;
  if (!together.every((value, i) => Number.isFinite(value) && Object.is(value, alone[i])))
    throw new Error('internal: decode and prefill disagree; nothing was timed');
}
