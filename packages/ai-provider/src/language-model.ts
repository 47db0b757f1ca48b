// A model as the AI SDK calls one (LanguageModelV3, which ai 6 and ai 7 take): one stream of parts, and the whole of it at
// once. An abort ends the stream with what it cost. Does not own options, prompts or the taking apart of answers.
import type {
  LanguageModelV3,
  LanguageModelV3CallOptions,
  LanguageModelV3Content,
  LanguageModelV3FinishReason,
  LanguageModelV3GenerateResult,
  LanguageModelV3StreamPart,
  LanguageModelV3StreamResult,
  LanguageModelV3Usage,
  SharedV3ProviderMetadata,
  SharedV3Warning,
} from '@ai-sdk/provider';
import { type GenerateOptions, type GenerateResult, RelufyError } from '@relufy/models';
import { type AnswerParser, type AnswerPart, chatIds, outputFieldsOf } from '@relufy/server/shaped-output';
import { callSettings } from './call-options.js';
import { outputWanted } from './output-wanted.js';
import { chatMessages } from './prompt.js';
import type { ProvidedModel } from './provided-model.js';

/** What a call cost; told for calls that were aborted too, which the AI SDK itself tells nothing of. */
export interface RelufyReport {
  readonly usage: LanguageModelV3Usage;
  readonly finishReason: LanguageModelV3FinishReason;
  readonly providerMetadata: SharedV3ProviderMetadata;
}

export interface RelufyLanguageModelSettings {
  /** Sampling and more, for every call; what a call says goes before. */
  readonly defaults?: GenerateOptions;
  readonly onReport?: (report: RelufyReport) => void;
}

interface Prepared {
  readonly model: ProvidedModel;
  readonly ids: readonly number[];
  readonly generate: GenerateOptions;
  /** undefined: all of the answer is text. */
  readonly parser: AnswerParser | undefined;
  readonly warnings: readonly SharedV3Warning[];
}

export class RelufyLanguageModel implements LanguageModelV3 {
  readonly specificationVersion = 'v3';
  readonly supportedUrls = {};
  readonly provider: string;
  readonly modelId: string;
  readonly #load: () => Promise<ProvidedModel>;
  readonly #settings: RelufyLanguageModelSettings;

  constructor(
    provider: string,
    modelId: string,
    load: () => Promise<ProvidedModel>,
    settings: RelufyLanguageModelSettings,
  ) {
    this.provider = provider;
    this.modelId = modelId;
    this.#load = load;
    this.#settings = settings;
  }

  // both bound: ai 7 calls them on a proxy, which has no private members
  readonly doStream = async (options: LanguageModelV3CallOptions): Promise<LanguageModelV3StreamResult> => {
    const prepared = await this.#prepare(options);
    const left = new AbortController();
    const parts = this.#parts(prepared, options, left.signal);
    const stream = new ReadableStream<LanguageModelV3StreamPart>({
      pull: async (controller) => {
        const { done, value } = await parts.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => left.abort(),
    });
    return { stream, request: { body: { promptTokens: prepared.ids.length } } };
  };

  readonly doGenerate = async (options: LanguageModelV3CallOptions): Promise<LanguageModelV3GenerateResult> => {
    const prepared = await this.#prepare(options);
    const content: LanguageModelV3Content[] = [];
    const open = new Map<string, { type: 'text' | 'reasoning'; text: string }>();
    for await (const part of this.#parts(prepared, options, new AbortController().signal)) {
      if (part.type === 'error') throw part.error;
      if (part.type === 'text-start' || part.type === 'reasoning-start') {
        const own = { type: part.type === 'text-start' ? ('text' as const) : ('reasoning' as const), text: '' };
        open.set(part.id, own);
        content.push(own);
      } else if (part.type === 'text-delta' || part.type === 'reasoning-delta') {
        const own = open.get(part.id);
        if (own) own.text += part.delta;
      } else if (part.type === 'tool-call') content.push(part);
      else if (part.type === 'finish') {
        options.abortSignal?.throwIfAborted();
        const { usage, finishReason, providerMetadata } = part;
        return {
          content,
          usage,
          finishReason,
          ...(providerMetadata && { providerMetadata }),
          warnings: [...prepared.warnings],
          response: { modelId: this.modelId, timestamp: new Date() },
        };
      }
    }
    throw new Error('internal: the stream ended without a finish');
  };

  async #prepare(options: LanguageModelV3CallOptions): Promise<Prepared> {
    options.abortSignal?.throwIfAborted();
    const model = await this.#load();
    const { tokenizer } = model;
    if (!tokenizer?.hasChatTemplate)
      throw new RelufyError(
        'state',
        `${model.name}: expected a chat template, found none: it is no chat model. Choose one that was made for chats.`,
      );
    const settings = callSettings(options, model);
    const wanted = outputWanted(options, chatMessages(options.prompt));
    const shaped = outputFieldsOf(wanted.asked).forModel(model, {
      messages: wanted.messages,
      options: {
        addGenerationPrompt: true,
        ...(settings.thinking !== undefined && { enable_thinking: settings.thinking }),
      },
    });
    const warnings = [...settings.warnings, ...wanted.warnings];
    if (wanted.asked.tools !== undefined && shaped.tools.length === 0)
      warnings.push({
        type: 'compatibility',
        feature: 'tools',
        details: `The chat template of ${model.name} has no place for tools: they are told in the system message.`,
      });
    const ids = chatIds(model, shaped);
    return {
      model,
      ids,
      generate: { ...this.#settings.defaults, ...settings.generate, ...shaped.options },
      parser: shaped.parser?.(ids),
      warnings,
    };
  }

  async *#parts(
    { model, ids, generate, parser, warnings }: Prepared,
    { abortSignal, includeRawChunks = false }: LanguageModelV3CallOptions,
    left: AbortSignal,
  ): AsyncGenerator<LanguageModelV3StreamPart, void> {
    yield { type: 'stream-start', warnings: [...warnings] };
    yield { type: 'response-metadata', id: newId('gen'), modelId: this.modelId, timestamp: new Date() };
    const parts = new StreamParts();
    const signal = abortSignal ? AbortSignal.any([abortSignal, left]) : left;
    try {
      const stream = model.generate(ids, { ...generate, signal, onAbort: 'return' });
      for await (const piece of stream) {
        if (includeRawChunks) yield { type: 'raw', rawValue: piece };
        yield* parts.of(parser?.push(piece) ?? (piece.text === '' ? [] : [{ kind: 'text', text: piece.text }]), 1);
      }
      yield* parts.of(parser?.end() ?? [], 0);
      yield* parts.close();
      const result = await stream.result;
      const finishReason = finishReasonOf(result, parts.calls);
      const report: RelufyReport = {
        usage: usageOf(result, parts.reasoningTokens),
        finishReason,
        providerMetadata: { [this.provider]: metadataOf(result, model) },
      };
      this.#settings.onReport?.(report);
      yield { type: 'finish', ...report };
    } catch (error) {
      yield { type: 'error', error };
    }
  }
}

/** Parts of an answer as parts of the SDK's stream: with ids, and beginnings and ends. */
class StreamParts {
  calls = 0;
  reasoningTokens = 0;
  #open: { readonly kind: 'text' | 'reasoning'; readonly id: string } | undefined;
  #call: { readonly id: string; readonly name: string; input: string } | undefined;
  #count = 0;

  /** `tokens`: how many the parts were made of. */
  *of(parts: readonly AnswerPart[], tokens: number): Generator<LanguageModelV3StreamPart, void> {
    if (this.#open?.kind === 'reasoning' || parts[0]?.kind === 'reasoning') this.reasoningTokens += tokens;
    for (const part of parts) yield* this.#one(part);
  }

  *#one(part: AnswerPart): Generator<LanguageModelV3StreamPart, void> {
    if (part.kind === 'arguments') {
      if (this.#call === undefined) return;
      this.#call.input += part.text;
      yield { type: 'tool-input-delta', id: this.#call.id, delta: part.text };
      return;
    }
    if (part.kind === 'call' || this.#open?.kind !== part.kind) yield* this.close();
    if (part.kind === 'call') {
      this.#call = { id: part.id, name: part.name, input: '' };
      yield { type: 'tool-input-start', id: part.id, toolName: part.name };
      return;
    }
    if (this.#open === undefined) {
      this.#open = { kind: part.kind, id: `${this.#count++}` };
      yield { type: `${part.kind}-start`, id: this.#open.id };
    }
    yield { type: `${part.kind}-delta`, id: this.#open.id, delta: part.text };
  }

  /** Ends what is open. A call that broke off is none. */
  *close(): Generator<LanguageModelV3StreamPart, void> {
    if (this.#open) yield { type: `${this.#open.kind}-end`, id: this.#open.id };
    this.#open = undefined;
    if (this.#call === undefined) return;
    const { id, name, input } = this.#call;
    this.#call = undefined;
    yield { type: 'tool-input-end', id };
    if (!isJson(input)) return;
    this.calls++;
    yield { type: 'tool-call', toolCallId: id, toolName: name, input };
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function finishReasonOf({ finishReason }: GenerateResult, calls: number): LanguageModelV3FinishReason {
  if (finishReason === 'abort') return { unified: 'other', raw: 'abort' };
  if (finishReason === 'stop' && calls > 0) return { unified: 'tool-calls', raw: finishReason };
  return { unified: finishReason, raw: finishReason };
}

function usageOf({ usage }: GenerateResult, reasoning: number): LanguageModelV3Usage {
  const { promptTokens, cachedTokens, completionTokens } = usage;
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: completionTokens, text: completionTokens - reasoning, reasoning },
  };
}

function metadataOf({ stats, seed }: GenerateResult, model: ProvidedModel): SharedV3ProviderMetadata[string] {
  const { weightBytesPerToken, denseWeightBytesPerToken, density, prefill, decode } = stats;
  const mean = (list: readonly number[]) =>
    list.length === 0 ? null : list.reduce((sum, one) => sum + one, 0) / list.length;
  return {
    backend: model.backend,
    seed,
    sparsity: {
      /** Of the neurons of an FFN, those whose weights were read. */
      activeRatio: mean(density.down),
      weightBytesPerToken,
      denseWeightBytesPerToken,
      skippedBytesPerToken: denseWeightBytesPerToken - weightBytesPerToken,
    },
    timings: {
      promptMs: prefill.ms,
      promptTokensPerSecond: prefill.tokensPerSecond,
      decodeMs: decode.ms,
      tokensPerSecond: decode.tokensPerSecond,
    },
  };
}

/** Not `crypto.randomUUID`, which pages without https lack. */
const newId = (kind: string): string =>
  `${kind}-${Array.from(crypto.getRandomValues(new Uint32Array(3)), (word) => word.toString(36)).join('')}`;
