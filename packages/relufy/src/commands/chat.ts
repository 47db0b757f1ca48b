// `relufy chat`: loads a model and hands it, with the process's streams, to the chat of @relufy/chat; loads the next one
// for /model. Does not own the chat itself.
import { Readable } from 'node:stream';
import { historyFile, openHistory, requireChatTemplate, rescueFile, runChat, type Settings } from '@relufy/chat';
import type { Model } from '@relufy/models';
import { decodeText, withoutMark } from '@relufy/tensor';
import type { Command } from 'commander';
import { chatModelIds } from '../chat-models.js';
import { Interruption } from '../failure.js';
import { packagedModel } from '../node/packaged-model.js';
import {
  addLoadOptions,
  addModelArgument,
  addSettingOptions,
  addSpeculateOptions,
  type LoadValues,
  loadOptionsOf,
  modelNamed,
  type SpeculateValues,
  settingsOf,
  speculationOf,
} from '../options.js';
import { bundledNames } from '../source.js';
import { openModel, withSpeculatingModel } from '../with-model.js';

const examples = `
Examples:
  $ relufy chat
  $ relufy chat HuggingFaceTB/SmolLM2-360M-Instruct
  $ relufy chat ./my-model --system "You are brief." --temperature 0.5
  $ echo "Tell me a story about a fox." | relufy chat --seed 1

At a terminal Ctrl-C stops the answer or clears the line, and at an empty prompt a second one leaves; /help lists what
else can be typed. A line that ends with a backslash goes on in the next one, as does what stands between two """.
From a pipe each line that is not empty is a turn, and only the answers are written to standard output.
Settings that are not given are those that the model's author recommends in its generation_config.json.
What was typed is kept for the arrow keys in $XDG_STATE_HOME/relufy/chat-history (~/.local/state by default), and beside
it in last-chat.json a conversation that Ctrl-C ended.
"relufy models --chat" lists small models to chat with.`;

interface ChatValues extends LoadValues, SpeculateValues, Settings {
  readonly system?: string;
  readonly history: boolean;
}

export function define(command: Command): void {
  addModelArgument(command);
  command.option('-s, --system <text>', 'a system message, if the model knows them');
  command.option('--no-history', 'neither read nor keep what is typed (also RELUFY_HISTORY=0)');
  addLoadOptions(command, packagedModel);
  addSpeculateOptions(command, ', or a smaller model of the same vocabulary');
  addSettingOptions(command);
  command
    .addHelpText('after', examples)
    .action((named: string | undefined, values: ChatValues) => chat(modelNamed(command, named, values), values));
}

async function chat(source: string, values: ChatValues): Promise<void> {
  const { stdin: input, stdout: output, stderr: error, env } = process;
  await withSpeculatingModel(source, loadOptionsOf(values), values, async (first, signal) => {
    let current: Model | undefined;
    // however we end, the terminal does not go on marking what is pasted
    const unmark = () => output.write(pasteMarksOff);
    const interactive = input.isTTY === true && output.isTTY === true && env.TERM !== 'dumb';
    if (interactive) process.once('exit', unmark);
    try {
      const end = await runChat({
        model: first,
        title: source,
        about: about.get(source),
        // a terminal's keys are text already; a pipe or a file may begin with a mark, or be UTF-16
        input: input.isTTY ? input : Readable.from(decodeText('standard input', input)),
        output,
        error,
        system: values.system === undefined ? undefined : withoutMark(values.system),
        settings: settingsOf(values),
        color: wantsColor(output, env),
        dumb: env.TERM === 'dumb',
        ...(interactive &&
          values.history &&
          wantsHistory(env) && { history: openHistory(historyFile(env)), rescueFile: rescueFile(env) }),
        modelNames: [packagedModel, ...bundledNames, ...chatModelIds],
        openModel: async (name, stop) => {
          const { revision: _, ...others } = loadOptionsOf(values);
          // a plan or another model drafts for the first one only
          const drafts = values.speculate === 'prompt' && speculationOf(values).options;
          const next = await openModel(name, { ...others, ...drafts, signal: AbortSignal.any([signal, stop]) });
          try {
            requireChatTemplate(next, name);
          } catch (refusal) {
            await next.dispose();
            throw refusal;
          }
          // the one before stays until its successor is there
          await (current ?? first).dispose();
          current = next;
          return next;
        },
        signal,
      });
      // a pipe that its writer holds open must not hold us
      if ('unref' in input) input.unref();
      if (end === 'interrupted') throw signal.reason instanceof Interruption ? signal.reason : new Interruption(130);
    } finally {
      process.off('exit', unmark);
      await current?.dispose();
    }
  });
}

const pasteMarksOff = '\u{1b}[?2004l';

/** What is said of a model below the greeting. */
const about: ReadonlyMap<string, string> = new Map([
  [
    packagedModel,
    `A small model: it answers in English and is often wrong. A larger one is a download away:
/model HuggingFaceTB/SmolLM2-360M-Instruct, or any name that "relufy models --chat" lists.`,
  ],
  [
    'llama-tales',
    `This small model tells short children's stories and knows nothing else. One that answers questions:
/model ${packagedModel}, or any name that "relufy models --chat" lists.`,
  ],
]);

/** Unless RELUFY_HISTORY says no. */
export function wantsHistory({ RELUFY_HISTORY: wish }: Readonly<Record<string, string | undefined>>): boolean {
  return !/^(0|off|no|false)$/i.test(wish?.trim() ?? '');
}

/** On a terminal, unless NO_COLOR says no; FORCE_COLOR says yes anywhere (https://no-color.org, https://force-color.org). */
export function wantsColor(
  stream: { readonly isTTY?: boolean },
  { NO_COLOR, FORCE_COLOR, TERM }: Readonly<Record<string, string | undefined>>,
): boolean {
  if (NO_COLOR) return false;
  if (FORCE_COLOR) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false';
  return stream.isTTY === true && TERM !== 'dumb';
}
