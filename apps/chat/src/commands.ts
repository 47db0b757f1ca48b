// The commands of a chat, `/name argument`, as a table, and how a line finds its command.
// Does not own how anything looks (a command says plain text) nor what lines are (run-chat.ts).

import { nearest, RelufyError } from '@relufy/models';
import type { ChatModel, Conversation } from './conversation.js';
import { describeStats } from './describe.js';
import { findSetting, parseNumber, settingTable } from './settings.js';

export interface CommandContext {
  readonly model: ChatModel;
  /** What people call the model. */
  readonly title: string;
  readonly conversation: Conversation;
  /** The settings that the chat began with. */
  readonly defaults: Conversation['settings'];
  readonly say: (text: string) => void;
  readonly exit: () => void;
}

export interface Command {
  readonly name: string;
  /** What follows the name, for the help. */
  readonly argument?: string;
  readonly help: string;
  readonly run: (context: CommandContext, argument: string) => void;
}

export const commands: readonly Command[] = [
  {
    name: 'reset',
    help: 'forget the turns; system message and settings stay',
    run: ({ conversation, say }) => {
      conversation.reset();
      say('The conversation starts anew.');
    },
  },
  {
    name: 'system',
    argument: '[TEXT]',
    help: 'set the system message; "-" removes it, no TEXT shows it',
    run: ({ conversation, say }, text) => {
      if (text !== '') conversation.system = text === '-' ? undefined : text;
      say(conversation.system === undefined ? 'No system message.' : `System message: ${conversation.system}`);
    },
  },
  {
    name: 'set',
    argument: '[KEY [VALUE]]',
    help: 'change a setting; no VALUE: its default; no KEY: show all',
    run: set,
  },
  {
    name: 'stats',
    help: 'speed, active neurons and bytes read so far',
    run: ({ title, model, conversation, say }) => say(describeStats(title, model, conversation.tokenCount)),
  },
  { name: 'help', help: 'this list', run: ({ say }) => say(helpText()) },
  { name: 'exit', help: 'leave (also Ctrl-D, or Ctrl-C at the prompt)', run: ({ exit }) => exit() },
];

/** A line that is meant for the chat itself. */
export function isCommand(line: string): boolean {
  return line.startsWith('/');
}

/** @throws RelufyError `option` for a command or a setting that does not exist or does not fit. */
export function runCommand(line: string, context: CommandContext): void {
  const [, name = '', argument = ''] = /^\/(\S*)\s*(.*)$/s.exec(line.trim()) ?? [];
  const command = commands.find((known) => known.name === name);
  if (command === undefined) {
    const meant = nearest(
      name,
      commands.map((known) => known.name),
    );
    const hint = meant === undefined ? '' : ` Did you mean /${meant}?`;
    throw new RelufyError('option', `/${name}: no such command.${hint} /help lists them.`);
  }
  command.run(context, argument);
}

function set({ conversation, defaults, say }: CommandContext, argument: string): void {
  const [name = '', value = ''] = argument.split(/\s+/, 2);
  if (name === '') {
    say(settingTable.map(({ key }) => `${key.padEnd(18)}${shown(conversation.settings[key])}`).join('\n'));
    return;
  }
  const setting = findSetting(name);
  if (setting === undefined) {
    const keys = settingTable.map(({ key }) => key);
    const meant = nearest(name, keys);
    const hint = meant === undefined ? '' : ` Did you mean ${meant}?`;
    throw new RelufyError('option', `/set ${name}: no such setting.${hint} There are ${keys.join(', ')}.`);
  }
  const { key } = setting;
  const { [key]: _, ...others } = conversation.settings;
  const next = value === '' ? defaults[key] : parseNumber(`/set ${key}`, value, setting);
  conversation.settings = { ...others, ...(next !== undefined && { [key]: next }) };
  say(`${key} ${shown(next)}`);
}

function shown(value: number | undefined): string {
  return value === undefined ? '(off)' : String(value);
}

function helpText(): string {
  const rows = commands.map(({ name, argument = '', help }) => [`/${name} ${argument}`, help] as const);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  const keys = settingTable.map(({ key }) => key).join(', ');
  return [...rows.map(([left, help]) => `${left.padEnd(width)}${help}`), `Settings: ${keys}.`].join('\n');
}
