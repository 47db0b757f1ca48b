// POST /v1/completions: what may follow a text, several texts or token ids; with `echo` and `logprobs` what the prompt's own
// tokens are worth, which evaluation harnesses ask for. Does not own the generation (answer.ts).
import type { Model, Piece } from '@relufy/models';
import { aBoolean, aText, aWhole, type Rule } from '@relufy/tensor';
import type { Answering, Asked } from './answer.js';
import { answerResponse } from './answer-response.js';
import { badField } from './api-error.js';
import type { Body } from './body.js';
import { fingerprint, ignoreKnown } from './chat-completions.js';
import { serverSentEvents, sseData } from './event-stream.js';
import { figuresOf, newId, nowSeconds, usageOf } from './figures.js';
import { type CompletionLogprobs, completionLogprobs, type ScoredToken } from './logprobs.js';
import { promptsOf } from './prompts.js';
import { countOf, keepAliveMs, mostAnswers, samplingFields, streamFields } from './sampling-fields.js';
import type { Call } from './service.js';

/** As OpenAI's route has it; a chat's answer is as long as the context lets it be. */
const usualLength = 16;
const lengthNames = ['max_tokens', 'max_new_tokens', 'n_predict'] as const;
const mostAlternatives = 100;
/** Prompts by answers to each, in one request. */
const mostTexts = 256;

interface Fields {
  readonly echo: boolean;
  /** Alternatives to tell; undefined: no log-probabilities. */
  readonly logprobs: number | undefined;
  readonly count: number;
  /** Answers that are computed, of which the likeliest `count` are given. */
  readonly bestOf: number;
}

const logprobsRule: Rule = {
  expected: `a whole number from 0 to ${mostAlternatives}`,
  fits: (value) => typeof value === 'boolean' || aWhole(0, mostAlternatives).fits(value),
};

function fieldsOf(body: Body, stream: boolean): Fields {
  const count = countOf(body);
  const bestOf = body.get<number>('best_of', aWhole(1, mostAnswers)) ?? count;
  if (bestOf < count) throw badField('best_of', `at least n (${count})`, `${bestOf}`);
  if (bestOf > count && stream) throw badField('best_of', 'no more than n in a stream', `${bestOf}`);
  if (body.has('suffix') && body.get<string>('suffix', aText) !== '')
    throw badField('suffix', 'none: the model only writes on', 'one');
  const given = body.get<number | boolean>('logprobs', logprobsRule);
  const logprobs = given === false ? undefined : given === true ? 0 : given;
  return { echo: body.get<boolean>('echo', aBoolean) ?? false, logprobs, count, bestOf };
}

export async function completions(call: Call, body: Body): Promise<Response> {
  const { stream, includeUsage } = streamFields(body);
  const fields = fieldsOf(body, stream);
  const { echo, logprobs, bestOf, count } = fields;
  const scores: (readonly ScoredToken[])[] = [];
  const asked: Asked = {
    modelName: body.get<string>('model', aText),
    keepAliveMs: keepAliveMs(body),
    prepare: async (model) => {
      const options = samplingFields(body, model, { maxTokens: lengthNames });
      const unlimited = lengthNames.some((name) => [-1, -2].includes(body.raw(name) as number));
      ignoreKnown(body);
      const prompts = promptsOf(body.raw('prompt') ?? '', model);
      if (prompts.length * bestOf > mostTexts)
        throw badField('prompt', `at most ${mostTexts} texts in all`, `${prompts.length} prompts with ${bestOf} each`);
      call.service.unreadFields.tell(call.route, body.unread());
      const wanted = logprobs ?? (bestOf > count ? 0 : undefined);
      return {
        prompts,
        options: {
          ...(!unlimited && { maxNewTokens: usualLength }),
          ...options,
          ...(wanted !== undefined && { logprobs: wanted }),
        },
        count: bestOf,
      };
    },
    // in the request's slot, before it writes
    before: async (model, prompts, signal) => {
      if (!echo) return;
      for (const ids of prompts) {
        signal.throwIfAborted();
        scores.push(logprobs === undefined ? plainTokens(ids) : await scoredPrompt(model, ids, logprobs));
      }
    },
  };
  const head: Head = {
    id: newId('cmpl'),
    object: 'text_completion',
    created: nowSeconds(),
    model: call.service.models.find(asked.modelName).served.id,
    system_fingerprint: fingerprint(call),
  };
  return answerResponse(call, asked, {
    stream,
    format: serverSentEvents,
    whole: (answering) => whole({ answering, fields, scores }, head),
    events: (answering) => chunks({ answering, fields, scores }, head, includeUsage),
  });
}

interface Head {
  readonly id: string;
  readonly object: 'text_completion';
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
}

interface Writing {
  readonly answering: Answering;
  readonly fields: Fields;
  /** With `echo`: the tokens of each prompt. */
  readonly scores: readonly (readonly ScoredToken[])[];
}

const plainTokens = (ids: readonly number[]): readonly ScoredToken[] =>
  ids.map((tokenId) => ({ tokenId, logprob: undefined, top: [] }));

async function scoredPrompt(model: Model, ids: readonly number[], topCount: number): Promise<readonly ScoredToken[]> {
  const { logprobs, topLogprobs } = await model.score(ids, { topLogprobs: topCount });
  return ids.map((tokenId, at) => ({
    tokenId,
    logprob: at === 0 ? undefined : (logprobs[at] as number),
    top: topLogprobs[at] ?? [],
  }));
}

/** The token that ends an answer is one of them: harnesses count on one for each token that they asked for. */
const scoredPieces = (pieces: readonly Piece[]): readonly ScoredToken[] =>
  pieces.map(({ tokenId, logprob, topLogprobs = [] }) => ({ tokenId, logprob, top: topLogprobs }));

/** What a choice's text begins with: the prompt, without the BOS that was put before it. */
function echoed({ answering: { model }, scores }: Writing, prompt: number): string {
  const ids = (scores[prompt] ?? []).map(({ tokenId }) => tokenId);
  return model.decode(ids[0] === model.tokenizer?.bosId ? ids.slice(1) : ids);
}

interface Choice {
  readonly text: string;
  readonly pieces: readonly Piece[];
  readonly finishReason: string;
}

async function whole(writing: Writing, head: Head): Promise<object> {
  const { answering, fields, scores } = writing;
  const { model, prepared } = answering;
  const written: { text: string; pieces: Piece[]; finishReason: string }[] = [];
  for await (const event of answering) {
    written[event.choice] ??= { text: '', pieces: [], finishReason: 'stop' };
    const choice = written[event.choice] as (typeof written)[number];
    choice.pieces.push(...event.pieces);
    if (event.kind === 'end') choice.finishReason = event.finishReason;
    else if (event.part.kind === 'text') choice.text += event.part.text;
  }
  const choices = prepared.prompts.flatMap((_, prompt) =>
    likeliest(written.slice(prompt * fields.bestOf, (prompt + 1) * fields.bestOf), fields.count).map((choice) => ({
      choice,
      prompt,
    })),
  );
  return {
    ...head,
    choices: choices.map(({ choice, prompt }, index) => {
      const echo = echoed(writing, prompt);
      const tokens = [...(scores[prompt] ?? []), ...scoredPieces(choice.pieces)];
      return {
        index,
        text: echo + choice.text,
        finish_reason: choice.finishReason,
        logprobs: fields.logprobs === undefined ? null : completionLogprobs(model, tokens, fields.logprobs),
      };
    }),
    ...figuresOf(answering.totals),
  };
}

/** By log-probability a token, in the order in which they were computed. */
function likeliest(choices: readonly Choice[], count: number): readonly Choice[] {
  if (choices.length <= count) return choices;
  const worth = ({ pieces }: Choice) =>
    pieces.reduce((sum, { logprob = 0 }) => sum + logprob, 0) / Math.max(1, pieces.length);
  const best = [...choices].sort((a, b) => worth(b) - worth(a)).slice(0, count);
  return choices.filter((choice) => best.includes(choice));
}

async function* chunks(writing: Writing, head: Head, includeUsage: boolean): AsyncGenerator<string, void> {
  const { answering, fields, scores } = writing;
  const { model, prepared } = answering;
  const chunk = (choices: readonly object[], more: object = {}) =>
    sseData({ ...head, choices, ...(includeUsage && { usage: null }), ...more });
  const offsets = new Map<number, number>();
  const total = prepared.prompts.length * prepared.count;
  let ended = 0;
  for await (const event of answering) {
    const { choice: index } = event;
    const prompt = Math.floor(index / prepared.count);
    const logprobsOf = (tokens: readonly ScoredToken[]): CompletionLogprobs | null => {
      if (fields.logprobs === undefined || tokens.length === 0) return null;
      const at = offsets.get(index) ?? 0;
      const logprobs = completionLogprobs(model, tokens, fields.logprobs, at);
      offsets.set(index, (logprobs.text_offset.at(-1) ?? at) + (logprobs.tokens.at(-1) ?? '').length);
      return logprobs;
    };
    if (fields.echo && !offsets.has(index)) {
      const logprobs = logprobsOf(scores[prompt] ?? []);
      offsets.set(index, offsets.get(index) ?? 0);
      yield chunk([{ index, text: echoed(writing, prompt), finish_reason: null, logprobs }]);
    }
    const logprobs = logprobsOf(scoredPieces(event.pieces));
    if (event.kind === 'part') {
      const text = event.part.kind === 'text' ? event.part.text : '';
      yield chunk([{ index, text, finish_reason: null, logprobs }]);
    } else {
      ended++;
      const { timings, sparsity } = figuresOf(answering.totals);
      const figures = ended === total && !includeUsage ? { timings, sparsity } : {};
      yield chunk([{ index, text: '', finish_reason: event.finishReason, logprobs }], figures);
    }
  }
  if (includeUsage) {
    const { timings, sparsity } = figuresOf(answering.totals);
    yield chunk([], { usage: usageOf(answering.totals), timings, sparsity });
  }
  yield 'data: [DONE]\n\n';
}
