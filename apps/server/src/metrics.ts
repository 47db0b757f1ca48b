// What Prometheus scrapes: requests, tokens, waiting times, bytes of weights read and left unread. Names follow
// llama-server's, with `relufy:` before them. Does not own when anything happens.
import type { ModelStats } from '@relufy/models';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ServedModels } from './served-models.js';

export interface AnswerFigures {
  readonly model: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly stats: ModelStats;
}

export class Metrics {
  readonly #registry = new Registry();
  readonly #requests: Counter;
  readonly #promptTokens: Counter;
  readonly #cachedTokens: Counter;
  readonly #predictedTokens: Counter;
  readonly #promptSeconds: Counter;
  readonly #predictedSeconds: Counter;
  readonly #readBytes: Counter;
  readonly #skippedBytes: Counter;
  readonly #firstToken: Histogram;
  readonly #queued: Histogram;

  constructor(models: () => ServedModels) {
    const registers = [this.#registry];
    const counter = (name: string, help: string, labelNames: readonly string[] = ['model']) =>
      new Counter({ name: `relufy:${name}`, help, labelNames: [...labelNames], registers });
    const seconds = (name: string, help: string) =>
      new Histogram({
        name: `relufy:${name}`,
        help,
        labelNames: ['model'],
        buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
        registers,
      });
    this.#requests = counter('http_requests_total', 'Requests answered', ['route', 'status']);
    this.#promptTokens = counter('prompt_tokens_total', 'Tokens of prompts that were computed');
    this.#cachedTokens = counter('cached_tokens_total', 'Tokens of prompts that the cache held');
    this.#predictedTokens = counter('tokens_predicted_total', 'Tokens generated');
    this.#promptSeconds = counter('prompt_seconds_total', 'Time in which prompts were computed');
    this.#predictedSeconds = counter('tokens_predicted_seconds_total', 'Time in which tokens were generated');
    this.#readBytes = counter('weight_bytes_read_total', 'Bytes of weights read while decoding');
    this.#skippedBytes = counter(
      'weight_bytes_skipped_total',
      'Bytes of weights behind zeros, not read while decoding',
    );
    this.#firstToken = seconds('time_to_first_token_seconds', 'From the request to its first token');
    this.#queued = seconds('queue_seconds', 'From the request to its slot');
    this.#gauges(models, registers);
    collectDefaultMetrics({ register: this.#registry, prefix: 'relufy_' });
  }

  #gauges(models: () => ServedModels, registers: Registry[]): void {
    const gauge = (
      name: string,
      help: string,
      value: (state: ReturnType<ServedModels['states']>[number]) => number,
    ) => {
      const each: Gauge = new Gauge({
        name: `relufy:${name}`,
        help,
        labelNames: ['model'],
        registers,
        collect: () => {
          for (const state of models().states()) each.set({ model: state.served.id }, value(state));
        },
      });
    };
    gauge('requests_processing', 'Slots in use', ({ lanes }) => lanes.busy);
    gauge('requests_deferred', 'Requests that wait for a slot', ({ lanes }) => lanes.waiting);
    gauge('slots', 'Slots that there are', ({ lanes }) => lanes.slots);
    gauge('model_loaded', '1 where the model is in memory', ({ model }) => (model ? 1 : 0));
    gauge('model_memory_bytes', 'What the model takes in memory', ({ model }) => model?.memoryBytes ?? 0);
    // as llama-server names the rates of all there was so far
    const rate = (name: string, help: string, tokens: Counter, time: Counter) => {
      const each: Gauge = new Gauge({
        name: `relufy:${name}`,
        help,
        registers,
        collect: async () => {
          const sum = async (of: Counter) => (await of.get()).values.reduce((all, { value }) => all + value, 0);
          const spent = await sum(time);
          each.set(spent > 0 ? (await sum(tokens)) / spent : 0);
        },
      });
    };
    rate('prompt_tokens_seconds', 'Tokens of prompts a second', this.#promptTokens, this.#promptSeconds);
    rate('predicted_tokens_seconds', 'Tokens generated a second', this.#predictedTokens, this.#predictedSeconds);
  }

  request(route: string, status: number): void {
    this.#requests.inc({ route, status: String(status) });
  }

  queued(model: string, ms: number): void {
    this.#queued.observe({ model }, ms / 1000);
  }

  firstToken(model: string, ms: number): void {
    this.#firstToken.observe({ model }, ms / 1000);
  }

  answer({ model, promptTokens, cachedTokens, completionTokens, stats }: AnswerFigures): void {
    const labels = { model };
    this.#promptTokens.inc(labels, promptTokens - cachedTokens);
    this.#cachedTokens.inc(labels, cachedTokens);
    this.#predictedTokens.inc(labels, completionTokens);
    this.#promptSeconds.inc(labels, stats.prefill.ms / 1000);
    this.#predictedSeconds.inc(labels, stats.decode.ms / 1000);
    const read = stats.weightBytesPerToken * stats.decode.tokens;
    this.#readBytes.inc(labels, read);
    this.#skippedBytes.inc(labels, Math.max(0, stats.denseWeightBytesPerToken * stats.decode.tokens - read));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
