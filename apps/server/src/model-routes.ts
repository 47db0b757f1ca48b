// What the server offers and how it is: /v1/models, /props, /slots, /health, /metrics. Reads states; loads nothing.
import { ApiError } from './api-error.js';
import { fieldsOfSampling } from './sampling-fields.js';
import type { ModelState } from './served-models.js';
import type { Call, Service } from './service.js';

/** Facts of a model, from itself where it is loaded. */
export function factsOf({ served, model }: ModelState): {
  readonly parameters: number | null;
  readonly contextLength: number | null;
  readonly trainedLength: number | null;
  readonly memoryBytes: number | null;
  readonly modelType: string | null;
} {
  const { facts = {} } = served;
  return {
    parameters: facts.parameters ?? null,
    contextLength: model?.contextLength ?? facts.contextLength ?? null,
    trainedLength: model?.spec.maxPositionEmbeddings ?? null,
    memoryBytes: model?.memoryBytes ?? null,
    modelType: model?.modelType ?? facts.modelType ?? null,
  };
}

function listed(state: ModelState): object {
  const { parameters, contextLength, trainedLength, memoryBytes } = factsOf(state);
  return {
    id: state.served.id,
    object: 'model',
    created: state.created,
    owned_by: 'relufy',
    aliases: state.served.aliases ?? [],
    status: { value: state.state, ...(state.state === 'loading' && { progress: state.progress }) },
    // LoRA adapters of the model will stand here, each with its scale
    adapters: [],
    architecture: { input_modalities: ['text'], output_modalities: ['text'] },
    context_length: contextLength,
    meta: {
      n_ctx: contextLength,
      n_ctx_train: trainedLength,
      n_params: parameters,
      n_vocab: state.model?.spec.vocabSize ?? null,
      n_embd: state.model?.spec.hiddenSize ?? null,
      size: memoryBytes,
    },
  };
}

export function listModels({ service }: Call): Response {
  return Response.json({ object: 'list', data: service.models.states().map(listed) });
}

export function showModel({ service }: Call, id: string): Response {
  const found = service.models.states().find(({ served }) => served.id === id || served.aliases?.includes(id));
  if (found === undefined)
    throw new ApiError(404, `model: expected one of the list at /v1/models, got ${JSON.stringify(id.slice(0, 100))}.`, {
      param: 'model',
      code: 'model_not_found',
    });
  return Response.json(listed(found));
}

/**
 * 200: send requests. 503: not yet, or no longer; with how far it is. A model that is loaded when asked for does not keep
 * others waiting, so it counts only where it is the one that the server began with.
 */
export function health(service: Service, refusing: boolean, waitsFor: string | undefined): Response {
  if (refusing) return unavailable('shutting down');
  const awaited = service.models.states().find(({ served }) => served.id === waitsFor);
  if (awaited !== undefined && awaited.state !== 'loaded')
    return unavailable('loading model', { model: awaited.served.id, progress: awaited.progress });
  return Response.json({ status: 'ok' });
}

function unavailable(status: string, more: object = {}): Response {
  return Response.json(
    { status, ...more, error: { message: `The server is ${status}.`, type: 'unavailable_error', code: 503 } },
    { status: 503, headers: { 'Retry-After': '1' } },
  );
}

export function props({ service }: Call): Response {
  const state = service.models.find(undefined);
  const { served, model, lanes } = state;
  return Response.json({
    default_generation_settings: {
      n_ctx: factsOf(state).contextLength,
      params: service.recommendedSampling ? fieldsOfSampling(model?.recommendedSampling ?? {}) : {},
    },
    total_slots: lanes.slots,
    model_alias: served.id,
    model_path: served.id,
    modalities: { vision: false, audio: false },
    chat_template: model?.tokenizer?.chatTemplates.get('default') ?? '',
    bos_token: model?.tokenizer?.bosToken ?? '',
    eos_token: model?.tokenizer?.eosToken ?? '',
    build_info: `relufy ${service.version}`,
    backend: model?.backend ?? null,
    sparsity: model?.sparsity ?? null,
  });
}

export function slots({ service }: Call): Response {
  return Response.json(
    service.models.states().flatMap((state) =>
      Array.from({ length: state.lanes.slots }, (_, id) => ({
        id,
        model: state.served.id,
        n_ctx: factsOf(state).contextLength,
        is_processing: id < state.lanes.busy,
      })),
    ),
  );
}
