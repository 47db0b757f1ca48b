// Vectors of texts: the final hidden state of a language model, its mean over the tokens or the last one, of length 1.
// POST /v1/embeddings, and what Ollama's /api/embed makes of it. A decoder was not trained for this: similar texts come out
// near each other, and no more is promised.
import type { Model } from '@relufy/models';
import { aText, aWhole, oneOf } from '@relufy/tensor';
import { badField } from './api-error.js';
import type { Body } from './body.js';
import { inSlot } from './in-slot.js';
import { type Pooling, pooled, poolings } from './pooling.js';
import { promptsOf } from './prompts.js';
import { keepAliveMs } from './sampling-fields.js';
import type { Call } from './service.js';

export async function embeddings(call: Call, body: Body): Promise<Response> {
  const format = body.get<'float' | 'base64'>('encoding_format', oneOf('float', 'base64')) ?? 'float';
  const pooling = body.get<Pooling>('pooling', oneOf(...poolings)) ?? 'mean';
  const dimensions = body.get<number>('dimensions', aWhole(1));
  const input = body.raw('input');
  body.ignore('user');
  const asks = { modelName: body.get<string>('model', aText), keepAliveMs: keepAliveMs(body) };
  call.service.unreadFields.tell(call.route, body.unread());
  return inSlot(call, asks, async (model, id, signal) => {
    checkDimensions(dimensions, model);
    const { vectors, tokens } = await embed(model, promptsOf(input, model, 'input'), pooling, signal);
    call.notes.promptTokens = tokens;
    return Response.json({
      object: 'list',
      data: vectors.map((vector, index) => ({
        object: 'embedding',
        index,
        embedding: format === 'base64' ? base64(vector) : [...vector],
      })),
      model: id,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  });
}

/** @throws ApiError 400: only models trained for it have shorter vectors that mean anything. */
export function checkDimensions(dimensions: number | undefined, model: Model): void {
  const { hiddenSize } = model.spec;
  if (dimensions !== undefined && dimensions !== hiddenSize)
    throw badField('dimensions', `${hiddenSize}, which is what this model has`, `${dimensions}`);
}

/** One vector a prompt, each of length 1. */
export async function embed(
  model: Model,
  prompts: readonly (readonly number[])[],
  pooling: Pooling,
  signal: AbortSignal,
): Promise<{ readonly vectors: readonly Float32Array[]; readonly tokens: number }> {
  const tap = `hidden.${model.spec.numHiddenLayers}`;
  const vectors: Float32Array[] = [];
  for (const ids of prompts) {
    signal.throwIfAborted();
    const { captured } = await model.forward(ids, { capture: [tap] });
    vectors.push(Float32Array.from(pooled(captured[tap] as Float32Array, ids.length, pooling)));
  }
  return { vectors, tokens: prompts.reduce((sum, { length }) => sum + length, 0) };
}

/** The bytes of its f32, little-endian, as OpenAI's clients ask for by default. */
function base64(vector: Float32Array): string {
  const bytes = Buffer.alloc(4 * vector.length);
  vector.forEach((value, i) => {
    bytes.writeFloatLE(value, 4 * i);
  });
  return bytes.toString('base64');
}
