// `relufy generate`: one prompt, one answer, as text while it comes or as one JSON object with all that is known of it.
import { type Settings, wholeFrom } from '@relufy/chat';
import type { GenerateOptions, Model, Piece, Prompt } from '@relufy/models';
import { decodeWhole, withoutMark } from '@relufy/tensor';
import type { Command } from 'commander';
import { usageError } from '../failure.js';
import {
  addLoadOptions,
  addModelArgument,
  addSettingOptions,
  addSpeculateOptions,
  type LoadValues,
  loadOptionsOf,
  modelNamed,
  numberOf,
  numeric,
  type SpeculateValues,
  settingsOf,
} from '../options.js';
import { printAnswer, printJson } from '../output.js';
import { withSpeculatingModel } from '../with-model.js';

const examples = `
Examples:
  $ relufy generate --prompt "Once upon a time" --max-new-tokens 50 --temperature 0
  $ relufy generate ./my-model --prompt "Once upon a time"
  $ relufy generate --prompt - --json --seed 1 < prompt.txt
  $ relufy generate --messages --prompt '[{"role": "user", "content": "Tell me a story."}]'`;

interface GenerateValues extends LoadValues, SpeculateValues, Settings {
  readonly prompt: string;
  readonly messages?: true;
  readonly specialTokens: boolean;
  readonly stop?: readonly string[];
  readonly stopTokenIds?: readonly number[];
  readonly logitBias?: Readonly<Record<number, number>>;
  readonly logprobs?: number;
  readonly json?: true;
}

export function define(command: Command): void {
  addModelArgument(command);
  command
    .requiredOption('-p, --prompt <text>', 'what to continue, as it stands; "-" reads standard input')
    .option('--messages', 'the prompt is a JSON list of {role, content}, for the chat template of the model')
    .option('--no-special-tokens', 'put no special tokens (BOS) around the prompt')
    .option('--json', 'print one JSON object: text, tokenIds, finishReason, usage, seed, stats');
  addLoadOptions(command);
  addSpeculateOptions(command, ', or a smaller model of the same vocabulary');
  addSettingOptions(command);
  command
    .option('--stop <text...>', 'texts that end the answer and are not part of it')
    .option('--stop-token-ids <id...>', "token ids that end the answer (default: the model's)", collectIds)
    .option('--logit-bias <id=bias...>', 'added to the logits of token ids', collectBias)
    .addOption(numeric('--logprobs <n>', 'with --json: log-probabilities, and those of the n best', wholeFrom(0)))
    .addHelpText('after', examples)
    .action((named: string | undefined, values: GenerateValues) =>
      generate({ ...values, model: modelNamed(command, named, values) }),
    );
}

async function generate(values: GenerateValues): Promise<void> {
  if (values.logprobs !== undefined && values.json === undefined)
    throw usageError('--logprobs: expected together with --json, which has a place for them.');
  const prompt = await readPrompt(values);
  const { specialTokens, stop, stopTokenIds, logitBias, logprobs } = values;
  await withSpeculatingModel(values.model, loadOptionsOf(values), values, (model, signal) => {
    const options: GenerateOptions = {
      ...settingsOf(values),
      ...(stop && { stop }),
      ...(stopTokenIds && { stopTokenIds }),
      ...(logitBias && { logitBias }),
      ...(logprobs !== undefined && { logprobs: logprobs === 0 ? true : logprobs }),
      addSpecialTokens: specialTokens,
      signal,
    };
    return values.json ? printAll(model, values.model, prompt, options) : printText(model, prompt, options);
  });
}

async function printText(model: Model, prompt: Prompt, options: GenerateOptions): Promise<void> {
  let last = '\n';
  try {
    for await (const { text } of model.generate(prompt, options)) {
      printAnswer(text);
      last = text.at(-1) ?? last;
    }
  } finally {
    if (last !== '\n') process.stdout.write('\n');
  }
}

async function printAll(model: Model, name: string, prompt: Prompt, options: GenerateOptions): Promise<void> {
  const stream = model.generate(prompt, options);
  const logprobs: Omit<Piece, 'text'>[] = [];
  for await (const { text: _, ...piece } of stream) logprobs.push(piece);
  const result = await stream.result;
  const object = { model: name, ...result, ...(options.logprobs !== undefined && { logprobs }) };
  printJson(object);
}

async function readPrompt({ prompt, messages }: GenerateValues): Promise<Prompt> {
  const text = prompt === '-' ? await readStandardInput() : withoutMark(prompt);
  if (!messages) return text;
  try {
    const list: unknown = JSON.parse(text);
    if (Array.isArray(list) && list.length > 0 && list.every((item) => typeof item === 'object' && item !== null))
      return list as Prompt;
  } catch {
    // said below
  }
  const got = JSON.stringify(text.length > 60 ? `${text.slice(0, 57)}...` : text);
  throw usageError(`--messages: expected a prompt like [{"role": "user", "content": "Hello"}], got ${got}.`);
}

/** The line break that ends a file, and the byte order mark that begins one, are not part of what it says. */
async function readStandardInput(): Promise<string> {
  const text = await decodeWhole('standard input', process.stdin);
  return text.replace(/\r?\n$/, '');
}

function collectIds(text: string, previous: readonly number[] = []): readonly number[] {
  return [...previous, numberOf('--stop-token-ids', text, wholeFrom(0))];
}

function collectBias(text: string, previous: Readonly<Record<number, number>> = {}): Readonly<Record<number, number>> {
  const [, id, bias] = /^(\d+)=(.+)$/.exec(text) ?? [];
  if (id === undefined || bias === undefined || !Number.isFinite(Number(bias)))
    throw usageError(`--logit-bias: expected ID=NUMBER, got ${JSON.stringify(text)}.`);
  return { ...previous, [id]: Number(bias) };
}
