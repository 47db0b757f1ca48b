// What Ollama's clients learn of models: /api/tags, /api/ps, /api/show, /api/version; and the orders to pull, copy or delete
// them, which are refused, as models are named when the server starts. Reads states; /api/show loads the model that it shows.
import { aText } from '@relufy/tensor';
import { ApiError } from './api-error.js';
import type { Body } from './body.js';
import { withModel } from './in-slot.js';
import { factsOf } from './model-routes.js';
import { fieldsOfSampling } from './sampling-fields.js';
import type { ModelState } from './served-models.js';
import type { Call } from './service.js';

/** Clients ask for a version that has what they use: it is Ollama's, not ours. */
export const version = (): Response => Response.json({ version: '0.12.0' });

export const tags = ({ service }: Call): Response => Response.json({ models: service.models.states().map(tagged) });

export const running = ({ service }: Call): Response =>
  Response.json({
    models: service.models
      .states()
      .filter(({ model }) => model !== undefined)
      .map(loaded),
  });

const detailsOf = (state: ModelState): object => {
  const { modelType, parameters } = factsOf(state);
  const family = modelType ?? 'unknown';
  return {
    parent_model: '',
    format: 'relufy',
    family,
    families: [family],
    parameter_size: parameters === null ? '' : sizeName(parameters),
    quantization_level: (state.served.facts?.dtype ?? '').toUpperCase(),
  };
};

function sizeName(parameters: number): string {
  return parameters >= 1e9 ? `${(parameters / 1e9).toFixed(1)}B` : `${(parameters / 1e6).toFixed(1)}M`;
}

/** Stays the same for the same name; there is no file to take a digest of. */
function digestOf({ served }: ModelState): string {
  return Buffer.from(served.id).toString('hex').padEnd(64, '0').slice(0, 64);
}

function tagged(state: ModelState): object {
  const { served, created, model } = state;
  return {
    name: served.id,
    model: served.id,
    modified_at: new Date(created * 1000).toISOString(),
    size: served.facts?.sizeBytes ?? model?.memoryBytes ?? 0,
    digest: digestOf(state),
    details: detailsOf(state),
  };
}

function loaded(state: ModelState): object {
  const { expiresAt, model } = state;
  // for ever is far away, as Ollama has it
  const isDated = Number.isFinite(expiresAt) && expiresAt > 0;
  const expires = isDated ? expiresAt : Date.now() + 100 * 365 * 86_400_000;
  return {
    ...tagged(state),
    size: model?.memoryBytes ?? 0,
    size_vram: 0,
    context_length: model?.contextLength ?? 0,
    expires_at: new Date(expires).toISOString(),
  };
}

export function show(call: Call, body: Body): Promise<Response> {
  return withModel(call, body.first<string>(['model', 'name'], aText), (model, id) => {
    const state = call.service.models.find(id);
    const template = model.tokenizer?.chatTemplates.get('default') ?? '';
    const thinks = template.includes('</think>') ? ['thinking'] : [];
    const { spec, modelType } = model;
    return Response.json({
      modelfile: `FROM ${id}\n`,
      parameters: Object.entries(ollamaNamed(fieldsOfSampling(model.recommendedSampling)))
        .map(([key, value]) => `${key} ${value}`)
        .join('\n'),
      template,
      details: detailsOf(state),
      model_info: {
        'general.architecture': modelType,
        'general.parameter_count': factsOf(state).parameters,
        [`${modelType}.context_length`]: spec.maxPositionEmbeddings,
        [`${modelType}.embedding_length`]: spec.hiddenSize,
        [`${modelType}.block_count`]: spec.numHiddenLayers,
        ...(spec.mixer.kind === 'attention' && {
          [`${modelType}.attention.head_count`]: spec.mixer.numAttentionHeads,
          [`${modelType}.attention.head_count_kv`]: spec.mixer.numKeyValueHeads,
        }),
      },
      capabilities: ['completion', 'embedding', ...(model.tokenizer?.hasChatTemplate ? ['tools'] : []), ...thinks],
      modified_at: new Date(state.created * 1000).toISOString(),
    });
  });
}

const ollamaNamed = ({ repetition_penalty: penalty, ...rest }: Readonly<Record<string, unknown>>): object => ({
  ...rest,
  ...(penalty !== undefined && { repeat_penalty: penalty }),
});

/** Clients pull before they ask: of a model that is served, there is nothing to do. */
export function pull(call: Call, body: Body): Response {
  const name = body.first<string>(['model', 'name'], aText);
  const known = call.service.models.states().flatMap(({ served: { id, aliases = [] } }) => [id, ...aliases]);
  if (name !== undefined && known.includes(name.replace(/:latest$/, ''))) return Response.json({ status: 'success' });
  return readOnly();
}

export function readOnly(): never {
  throw new ApiError(
    501,
    'The models of this server are named when it starts, with relufy serve MODEL..., and cannot be changed by a request.',
    { code: 'read_only' },
  );
}
