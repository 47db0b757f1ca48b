// Speculative decoding: answers with and without drafts, the same ones, interleaved; and what a draft model of a stated
// acceptance would bring TinyLlama's shape, from the times of its steps. Owns prompts, shapes and arithmetic. Does not own
// speculation (@relufy/models) or the clock (measure.ts).
import { attentionOf, type GenerateResult, type Model, type ModelSpec, type SpeculateOptions } from '@relufy/models';
import { type DType, type HostBackend, RelufyError } from '@relufy/tensor';
import { tinyLlamaShape } from './decode.js';
import { summary, takeTurns } from './measure.js';
import { percent, type Table } from './report.js';
import { SyntheticModel } from './synthetic-model.js';

export interface Asked {
  readonly name: string;
  readonly prompt: string;
  /** Greedy without. */
  readonly seed?: number;
}

const list = `Stock of the shop, one line a thing:
- twelve red apples from the garden of Mrs. Miller
- four jars of honey, two of them open
- a sack of flour, thirty pounds
- nine brown eggs and six white ones
- one wheel of cheese from the farm by the river
- three bottles of milk, delivered this morning
`;

/** A text whose continuation is a copy, and two whose is not. */
export const asked: readonly Asked[] = [
  { name: 'a copy', prompt: `${list}\nThe same list again, word for word:\n\nStock of the shop, one line a thing:\n` },
  { name: 'a story', prompt: 'Once upon a time there was a lighthouse keeper who' },
  { name: 'a story, sampled', prompt: 'Once upon a time there was a lighthouse keeper who', seed: 7 },
];

const answerTokens = 128;

export interface SpeculatedResult {
  readonly tokensPerSecond: number;
  readonly plainTokensPerSecond: number;
  /** The median over pairs of rounds. */
  readonly speedUp: number;
  readonly spread: number;
  readonly speculation: GenerateResult['stats']['speculation'];
  /** Bytes of weights a token, over those without drafts. */
  readonly bytes: number;
}

/** One question with and without drafts until `seconds` are over. @throws RelufyError where the answers differ. */
export async function benchSpeculated(
  model: Pick<Model, 'generate'>,
  speculate: SpeculateOptions | SpeculateOptions['draft'],
  { prompt, seed }: Asked,
  seconds: number,
): Promise<SpeculatedResult> {
  const options = {
    maxNewTokens: answerTokens,
    stopTokenIds: [],
    ...(seed === undefined ? { temperature: 0 } : { seed, temperature: 0.8 }),
  };
  const ask = async (drafts: SpeculateOptions | SpeculateOptions['draft'] | false) => {
    const times: number[] = [];
    const stream = model.generate(prompt, { ...options, speculate: drafts });
    for await (const _ of stream) times.push(performance.now());
    const { tokenIds, stats } = await stream.result;
    // the prompt's step is not decoding
    return { tokenIds: tokenIds.join(), stats, ms: (times.at(-1) as number) - (times[0] as number) };
  };
  const pairs: { readonly plain: number; readonly drafted: number }[] = [];
  let last: Awaited<ReturnType<typeof ask>> | undefined;
  let bytes = 0;
  const end = performance.now() + seconds * 1000;
  for (let round = 0; round < 4 || performance.now() < end; round++) {
    const plain = await ask(false);
    const drafted = await ask(speculate);
    if (plain.tokenIds !== drafted.tokenIds)
      throw new RelufyError('backend', 'bench speculate: an answer with drafts differs. Nothing was timed.');
    bytes = drafted.stats.weightBytesPerToken / plain.stats.weightBytesPerToken;
    last = drafted;
    // the first round compiles and learns
    if (round > 0) pairs.push({ plain: plain.ms, drafted: drafted.ms });
  }
  const rate = (ms: number) => (1000 * (answerTokens - 1)) / ms;
  const ratios = summary(pairs.map(({ plain, drafted }) => plain / drafted));
  return {
    tokensPerSecond: rate(summary(pairs.map(({ drafted }) => drafted)).ms),
    plainTokensPerSecond: rate(summary(pairs.map(({ plain }) => plain)).ms),
    speedUp: ratios.ms,
    spread: ratios.spread,
    speculation: last?.stats.speculation,
    bytes,
  };
}

export async function speculatedTable(
  model: Model,
  drafts: Readonly<Record<string, SpeculateOptions['draft']>>,
  seconds: number,
): Promise<Table> {
  const rows: (string | number)[][] = [];
  for (const [name, draft] of Object.entries(drafts))
    for (const one of asked) {
      const found = await benchSpeculated(model, draft, one, seconds);
      const { speculation } = found;
      rows.push([
        name,
        one.name,
        found.plainTokensPerSecond.toFixed(1),
        found.tokensPerSecond.toFixed(1),
        found.speedUp.toFixed(2),
        percent(found.spread),
        speculation ? percent(speculation.acceptance) : 'none drafted',
        speculation ? ((speculation.accepted + speculation.steps) / speculation.steps).toFixed(1) : '',
        found.bytes.toFixed(2),
      ]);
    }
  return {
    title: `Speculative decoding of ${model.name}`,
    note: `${answerTokens} tokens, with and without drafts interleaved, equal answers checked in every round; as many drafted as pays. Bytes: of weights a token, over those without.`,
    columns: [
      'draft',
      'answer',
      'plain tokens/s',
      'tokens/s',
      'speed-up',
      'spread',
      'acceptance',
      'tokens/step',
      'bytes',
    ],
    rows,
  };
}

/** In shape a Llama of 68 million parameters with TinyLlama's vocabulary, as is drafted with. */
function draftShape(): ModelSpec {
  const target = tinyLlamaShape('gated');
  const [hiddenSize, heads] = [768, 12];
  return {
    ...target,
    ...{ hiddenSize, embeddingSize: hiddenSize, intermediateSize: 3072, numHiddenLayers: 2 },
    mixer: { ...attentionOf(target), numAttentionHeads: heads, numKeyValueHeads: heads },
  };
}

const gammas = [1, 2, 3, 4, 6, 8] as const;
const acceptances = [0.5, 0.7, 0.9] as const;

/** Tokens of one step that verifies, in the mean. */
const tokensOf = (acceptance: number, gamma: number) => (1 - acceptance ** (gamma + 1)) / (1 - acceptance);

/** What a draft costs and a step that verifies takes, timed; acceptance is stated, since random weights have none. */
export async function forcedTable(backend: HostBackend, dtype: DType, seconds: number): Promise<Table> {
  const most = Math.max(...gammas) + 1;
  const target = tinyLlamaShape('gated');
  const small = draftShape();
  const open = [
    await SyntheticModel.open(backend, target, dtype, { maxRows: most, maxOutputs: most }),
    await SyntheticModel.open(backend, small, dtype),
  ] as const;
  try {
    const [verifier, drafter] = open;
    const [step, draft] = [verifier.load(target, 'dense'), drafter.load(small, 'dense')];
    const drafting = Object.fromEntries(
      gammas.map((gamma) => [
        `${gamma}`,
        // one whole round: drafts, then the step that verifies them
        async () => {
          for (let i = 0; i < gamma; i++) await drafter.run(draft);
          await verifier.run(step, { rows: gamma + 1, outputs: gamma + 1 });
        },
      ]),
    );
    const times = await takeTurns(
      { plain: () => verifier.run(step), draft: () => drafter.run(draft), ...drafting } as Record<
        string,
        () => Promise<void>
      >,
      { seconds: seconds * 2 },
    );
    const ms = (name: string) => times[name]?.ms ?? Number.NaN;
    return {
      title: `A draft model beside TinyLlama's shape, ${dtype}`,
      note: `Target: hidden 2048, FFN 5632, 22 layers; draft: hidden 768, FFN 3072, 2 layers; random weights. Whole rounds of drafts and verification are timed beside plain steps, interleaved; tokens a round follow from the stated acceptance. c: of a drafted token.`,
      columns: [
        'drafted',
        'c',
        'round / plain',
        ...acceptances.map((acceptance) => `speed-up at ${acceptance}`),
        'spread',
      ],
      rows: gammas.map((gamma) => [
        gamma,
        (ms('draft') / ms('plain')).toFixed(3),
        (ms(`${gamma}`) / ms('plain')).toFixed(2),
        ...acceptances.map((acceptance) => ((tokensOf(acceptance, gamma) * ms('plain')) / ms(`${gamma}`)).toFixed(2)),
        percent(Math.max(times.plain?.spread ?? 0, times[`${gamma}`]?.spread ?? 0)),
      ]),
    };
  } finally {
    for (const model of open) await model.dispose();
  }
}
