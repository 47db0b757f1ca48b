// One task on one model: items to groups of token ids that share a context, in an order in which neighbours share
// prefixes, each computed once; answers come from the log where it has them.
// Does not own what answers are worth (metrics.ts) nor which tasks run (evaluate.ts).
import { createHash } from 'node:crypto';
import { RelufyError, show } from '@relufy/tensor';
import type { EvalModel } from './eval-model.js';
import type { Response } from './metrics.js';
import type { EvalItem, EvalRequest } from './requests.js';
import { encodePair, fitPair, rollingPairs, type TokenPair } from './token-pairs.js';

/** Continuations of one context: what a model computes at once. */
interface Group {
  readonly context: readonly number[];
  readonly parts: {
    readonly request: number;
    readonly continuation: readonly number[];
  }[];
  readonly docId: number;
  /** Of the windows of one text. */
  readonly window: number;
  readonly generation?: Extract<EvalRequest, { kind: 'generate' }>['settings'];
}

/** A line of the log: what one group said. `r`: numbers of requests, `n`: scored tokens. */
interface LogEntry {
  readonly task: string;
  readonly d: number;
  readonly w: number;
  readonly r: readonly number[];
  readonly ll?: readonly number[];
  readonly greedy?: readonly boolean[];
  readonly n?: readonly number[];
  readonly text?: string;
}

/** Where answers are kept, and looked for before computing. */
export interface AnswerStore {
  readonly entries: readonly unknown[];
  readonly append: (entry: object) => void;
}

export interface RunProgress {
  readonly task: string;
  /** Of the task's tokens, those done. */
  readonly tokens: number;
  readonly totalTokens: number;
  readonly requests: number;
}

export interface TaskRun {
  /** [item][request]. */
  readonly responses: readonly (readonly Response[])[];
  /** Requests whose context was cut on the left to fit. */
  readonly truncated: number;
  /** Requests that were computed now, not read from the log. */
  readonly computed: number;
  readonly computedTokens: number;
  /** Of what was asked: equal for runs that can be compared document by document. */
  readonly hash: string;
}

export async function runTask(
  name: string,
  items: readonly EvalItem[],
  model: EvalModel,
  store: AnswerStore,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (progress: RunProgress) => void } = {},
): Promise<TaskRun> {
  const { groups, truncated, hash } = await prepare(name, items, model, signal);
  const done = answersOf(name, hash, store);
  const responses: Response[][] = items.map(({ requests }) => requests.map(() => emptyResponse));
  const at = new Map(items.map(({ docId }, index) => [docId, index]));
  const totalTokens = groups.reduce((sum, group) => sum + tokensOf(group), 0);
  let [tokens, computed, computedTokens, requests] = [0, 0, 0, 0];
  const recorded = (group: Group) => done.get(keyOf(group.docId, group.window, group.parts[0]?.request ?? 0));
  for (const batch of batchesOf(groups, model.lanes, (group) => recorded(group) !== undefined)) {
    signal?.throwIfAborted();
    const entries = batch.map(recorded);
    const missing = batch.filter((_, index) => entries[index] === undefined);
    const answers = await compute(name, missing, model, signal);
    for (const entry of answers) store.append(entry);
    for (const [index, group] of batch.entries()) {
      const entry = entries[index] ?? (answers[missing.indexOf(group)] as LogEntry);
      collect(responses[at.get(group.docId) as number] as Response[], entry);
      tokens += tokensOf(group);
      requests += group.parts.length;
    }
    computed += missing.reduce((sum, { parts }) => sum + parts.length, 0);
    computedTokens += missing.reduce((sum, group) => sum + tokensOf(group), 0);
    onProgress?.({ task: name, tokens, totalTokens, requests });
  }
  return { responses, truncated, computed, computedTokens, hash };
}

const emptyResponse: Response = { logprob: 0, isGreedy: true, tokens: 0 };

const keyOf = (docId: number, window: number, request: number): string => `${docId}/${window}/${request}`;

const tokensOf = ({ context, parts, generation }: Group): number =>
  parts.reduce((sum, { continuation }) => sum + continuation.length, context.length) + (generation?.maxNewTokens ?? 0);

async function prepare(
  name: string,
  items: readonly EvalItem[],
  model: EvalModel,
  signal: AbortSignal | undefined,
): Promise<{ groups: readonly Group[]; truncated: number; hash: string }> {
  const groups: Group[] = [];
  const hash = createHash('sha256');
  let truncated = 0;
  for (const item of items) {
    signal?.throwIfAborted();
    const own = new Map<string, Group>();
    for (const [request, asked] of item.requests.entries()) {
      hash.update(JSON.stringify([item.docId, asked]));
      for (const [window, pair] of (await pairsOf(name, item, asked, model)).entries()) {
        if (pair.cut > 0) truncated++;
        const key = `${window} ${pair.context.join()}`;
        let group = own.get(key);
        if (group === undefined) {
          group = {
            context: pair.context,
            parts: [],
            docId: item.docId,
            window,
            ...(asked.kind === 'generate' && { generation: asked.settings }),
          };
          own.set(key, group);
        }
        group.parts.push({ request, continuation: pair.continuation });
      }
    }
    groups.push(...own.values());
  }
  groups.sort(compareContexts);
  return { groups, truncated, hash: hash.digest('hex').slice(0, 16) };
}

/** Lexicographic, so that what neighbours have in common is still in the KV cache. */
function compareContexts(a: Group, b: Group): number {
  const shared = Math.min(a.context.length, b.context.length);
  for (let i = 0; i < shared; i++) if (a.context[i] !== b.context[i]) return a.context[i]! - b.context[i]!;
  return a.context.length - b.context.length || a.docId - b.docId || a.window - b.window;
}

async function pairsOf(
  name: string,
  { docId }: EvalItem,
  request: EvalRequest,
  model: EvalModel,
): Promise<readonly TokenPair[]> {
  try {
    switch (request.kind) {
      case 'loglikelihood':
        return [fitPair(await encodePair(model, request.context, request.continuation), model.maxLength)];
      case 'rolling':
        return await rollingPairs(model, request.text, model.maxLength);
      case 'generate': {
        const room = model.maxLength - request.settings.maxNewTokens;
        const ids = await model.encode(request.context, model.addSpecialTokens);
        if (room < 1)
          throw new RelufyError(
            'input',
            `request: expected max_gen_toks below the context length of ${model.maxLength}, got ${request.settings.maxNewTokens}. Load the model with a larger contextLength.`,
          );
        return [{ context: ids.slice(-room), continuation: [], cut: Math.max(0, ids.length - room) }];
      }
    }
  } catch (error) {
    if (!RelufyError.is(error)) throw error;
    throw new RelufyError(error.code, `${name} document ${docId}: ${error.message}`, { cause: error });
  }
}

/** The log's answers to this task. Its first line says what was asked: the same questions, or it is another run. */
function answersOf(name: string, hash: string, store: AnswerStore): Map<string, LogEntry> {
  const lines = store.entries.filter((entry) => (entry as LogEntry).task === name);
  const begun = lines.find((entry) => (entry as { hash?: string }).hash !== undefined) as { hash: string } | undefined;
  if (begun === undefined) store.append({ task: name, hash });
  else if (begun.hash !== hash)
    throw new RelufyError(
      'option',
      `${name}: expected the requests of the run that is resumed, got others. The data or the task changed; name another folder.`,
    );
  const answers = lines.filter((entry) => (entry as LogEntry).r !== undefined) as LogEntry[];
  return new Map(answers.map((entry) => [keyOf(entry.d, entry.w, entry.r[0] as number), entry]));
}

/** Neighbours whose continuations fill the model's lanes; what needs no computing takes none. */
function* batchesOf(groups: readonly Group[], lanes: number, isKnown: (group: Group) => boolean): Generator<Group[]> {
  let batch: Group[] = [];
  let taken = 0;
  for (const group of groups) {
    const wanted = isKnown(group) ? 0 : group.parts.length;
    if (batch.length > 0 && (taken + wanted > lanes || group.generation)) {
      yield batch;
      [batch, taken] = [[], 0];
    }
    batch.push(group);
    taken += wanted;
  }
  if (batch.length > 0) yield batch;
}

async function compute(
  name: string,
  groups: readonly Group[],
  model: EvalModel,
  signal: AbortSignal | undefined,
): Promise<LogEntry[]> {
  const headOf = ({ docId, window, parts }: Group) => {
    return { task: name, d: docId, w: window, r: parts.map(({ request }) => request) };
  };
  const generated: LogEntry[] = [];
  for (const group of groups)
    if (group.generation)
      generated.push({ ...headOf(group), text: await model.generate(group.context, group.generation, signal) });
  if (generated.length > 0) return generated;
  // nothing to score after a prefix token: log p of nothing is 0
  const asked = groups.map(({ context, parts }) => {
    return { context, parts: parts.filter(({ continuation }) => continuation.length > 0) };
  });
  const scores = await model.score(
    asked.map(({ context, parts }) => ({ context, continuations: parts.map(({ continuation }) => continuation) })),
  );
  return groups.map((group, at): LogEntry => {
    const byPart = new Map(asked[at]?.parts.map((part, index) => [part, scores[at]?.[index]]));
    for (const score of byPart.values())
      if (!Number.isFinite(score?.logprob))
        throw new RelufyError(
          'state',
          `${name} document ${group.docId}: expected a finite log-probability, got ${show(String(score?.logprob))}. The model's weights, or the format that they are held in (--dtype), give no usable logits.`,
        );
    return {
      ...headOf(group),
      ll: group.parts.map((part) => byPart.get(part)?.logprob ?? 0),
      greedy: group.parts.map((part) => byPart.get(part)?.isGreedy ?? true),
      n: group.parts.map(({ continuation }) => continuation.length),
    };
  });
}

/** Windows of a text add up. */
function collect(responses: Response[], { r, ll, greedy, n, text }: LogEntry): void {
  for (const [at, request] of r.entries()) {
    const before = responses[request] as Response;
    responses[request] = {
      logprob: before.logprob + (ll?.[at] ?? 0),
      isGreedy: before.isGreedy && (greedy?.[at] ?? true),
      tokens: before.tokens + (n?.[at] ?? 0),
      ...(text !== undefined && { text }),
    };
  }
}
