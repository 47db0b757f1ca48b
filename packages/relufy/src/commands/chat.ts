// `relufy chat`: loads a model and hands it, with the process's streams, to the chat of @relufy/chat.
import { defaultSettings, runChat, type Settings } from '@relufy/chat';
import type { Command } from 'commander';
import { Interruption } from '../failure.js';
import { addLoadOptions, addSettingOptions, type LoadValues, loadOptionsOf, settingsOf } from '../options.js';
import { withModel } from '../with-model.js';

const examples = `
Examples:
  $ relufy chat
  $ relufy chat --model ./my-model --system "You are brief." --temperature 0.5
  $ echo "Tell me a story about a fox." | relufy chat --seed 1

At a terminal Ctrl-C stops the answer, and at the prompt it leaves; /help lists what else can be typed.
From a pipe each line that is not empty is a turn, and only the answers are written to standard output.`;

export function define(command: Command): void {
  command.option('-s, --system <text>', 'a system message, if the model knows them');
  addLoadOptions(command);
  addSettingOptions(command, defaultSettings);
  command.addHelpText('after', examples).action(chat);
}

async function chat(values: LoadValues & Settings & { readonly system?: string }): Promise<void> {
  await withModel(values.model, loadOptionsOf(values), async (model, signal) => {
    const end = await runChat({
      model,
      title: values.model,
      input: process.stdin,
      output: process.stdout,
      error: process.stderr,
      system: values.system,
      settings: settingsOf(values),
      color: wantsColor(process.stdout, process.env),
      signal,
    });
    // a pipe that its writer holds open must not hold us
    if ('unref' in process.stdin) process.stdin.unref();
    if (end === 'interrupted') throw signal.reason instanceof Interruption ? signal.reason : new Interruption(130);
  });
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
