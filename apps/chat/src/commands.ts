// The commands of a chat, `/name argument`, as a table, and how a message finds its command.
// Does not own how anything looks (a command says plain text), what messages are (message-lines.ts) or files
// (saved-chat.ts).
import { nearest, RelufyError } from '@relufy/models';
import type { Conversation } from './conversation.js';
import { describeStats } from './describe.js';
import type { Message } from './message-lines.js';
import { readChat, saveChat } from './saved-chat.js';
import { findSetting, parseNumber, settingTable } from './settings.js';

export interface CommandContext {
  /** What people call the model. */
  readonly title: string;
  readonly conversation: Conversation;
  /** The settings that the chat began with, or those of the model that took over. */
  readonly defaults: Conversation['settings'];
  readonly say: (text: string) => void;
  readonly exit: () => void;
  /** Answers the newest message once more. */
  readonly retry: () => Promise<void>;
  /** Goes on with another model; undefined where there is only one. */
  readonly changeModel?: ((name: string) => Promise<void>) | undefined;
  /** The file that the conversation was saved to or loaded from. */
  file: string | undefined;
  /** So many messages are in that file. */
  savedMessages: number;
}

export interface Command {
  readonly name: string;
  /** What follows the name, for the help. */
  readonly argument?: string;
  readonly help: string;
  readonly run: (context: CommandContext, argument: string) => void | Promise<void>;
}

export const commands: readonly Command[] = [
  { name: 'retry', help: 'answer the last message once more', run: ({ retry }) => retry() },
  {
    name: 'undo',
    help: 'take back the last message and its answer',
    run: ({ conversation, say }) => {
      const turn = conversation.undo();
      if (turn === undefined) say('There is no message to take back.');
      else say(`Taken back: ${beginningOf(String(turn[0]?.content ?? ''))}`);
    },
  },
  {
    name: 'reset',
    help: 'forget the turns; system message and settings stay',
    run: ({ conversation, say }) => {
      conversation.reset();
      say('The conversation starts anew.');
    },
  },
  {
    name: 'save',
    argument: '[FILE]',
    help: 'write the conversation: JSON, or Markdown for NAME.md',
    run: save,
  },
  { name: 'load', argument: 'FILE', help: 'go on with a saved conversation', run: load },
  {
    name: 'model',
    argument: '[MODEL]',
    help: 'go on with another model; no MODEL: which it is',
    run: async ({ title, conversation, say, changeModel }, name) => {
      if (name === '') say(`${title} · ${conversation.model.backend} · context ${conversation.model.contextLength}`);
      else if (changeModel === undefined)
        throw new RelufyError('option', `/model ${name}: this chat has one model. Start another chat.`);
      else await changeModel(name);
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
    run: ({ title, conversation, say }) => say(describeStats(title, conversation)),
  },
  { name: 'help', help: 'this list', run: ({ say }) => say(helpText()) },
  { name: 'exit', help: 'leave (also Ctrl-D, or Ctrl-C twice at the prompt)', run: ({ exit }) => exit() },
];

/** What people type who do not know the commands yet. Alone in their line they are no messages. */
const otherWords: ReadonlyMap<string, string> = new Map([
  ...['help', '?', '/?', '/h', ':help', ':h'].map((word) => [word, '/help'] as const),
  ...['exit', 'quit', '/quit', '/q', '/bye', ':q', ':quit', ':wq', 'exit()', 'quit()', '.exit'].map(
    (word) => [word, '/exit'] as const,
  ),
]);

/** A line that is meant for the chat itself. */
export function isCommand(line: string): boolean {
  return commandOf({ text: line, literal: false }) !== undefined;
}

/**
 * The command that a message is: one begins with a slash and a word. A path is none, nor what came in a block, nor
 * several lines that do not begin with a command there is.
 */
export function commandOf({ text, literal }: Message): string | undefined {
  if (literal) return undefined;
  const line = text.trim();
  const other = otherWords.get(line.toLowerCase());
  if (other !== undefined) return other;
  const name = /^\/([^\s/]*)(?=\s|$)/.exec(line)?.[1];
  if (name === undefined) return undefined;
  return !line.includes('\n') || commands.some((known) => known.name === name) ? line : undefined;
}

/** @throws RelufyError `option` for a command or a setting that does not exist or does not fit; what the command throws. */
export async function runCommand(line: string, context: CommandContext): Promise<void> {
  const [, typed = '', argument = ''] = /^\/(\S*)\s*(.*)$/s.exec(line.trim()) ?? [];
  const name = typed.toLowerCase();
  const command = commands.find((known) => known.name === name);
  if (command === undefined) {
    const meant = nearest(
      typed,
      commands.map((known) => known.name),
    );
    const hint = meant === undefined ? '' : ` Did you mean /${meant}?`;
    throw new RelufyError('option', `/${typed}: no such command.${hint} /help lists them.`);
  }
  await command.run(context, argument);
}

async function save(context: CommandContext, argument: string): Promise<void> {
  const { conversation, title, say } = context;
  if (conversation.messages.every(({ role }) => role === 'system')) {
    say('There is nothing to save yet.');
    return;
  }
  const file = argument === '' ? (context.file ?? fileOfNow(new Date())) : withEnding(argument);
  await saveChat(file, { model: title, messages: conversation.messages });
  context.file = file;
  context.savedMessages = conversation.messages.length;
  say(`Saved to ${file}; /load ${file} goes on with it.`);
}

async function load(context: CommandContext, file: string): Promise<void> {
  if (file === '') throw new RelufyError('option', '/load: expected a file, got none. Write: /load FILE');
  const { conversation, say } = context;
  const { messages, model } = await readChat(file);
  conversation.load(messages);
  context.file = file;
  context.savedMessages = conversation.messages.length;
  const other = model === undefined || model === context.title ? '' : ` It was held with ${model}.`;
  const open = messages.at(-1)?.role === 'user' ? ' Its last message has no answer: /retry answers it.' : '';
  say(`${messages.length} ${messages.length === 1 ? 'message' : 'messages'} from ${file}.${other}${open}`);
}

/** `chat-2026-01-31-120000.json`, in the time of the person's clock. */
function fileOfNow(now: Date): string {
  const local = new Date(now.getTime() - 60_000 * now.getTimezoneOffset()).toISOString();
  return `chat-${local.slice(0, 10)}-${local.slice(11, 19).replaceAll(':', '')}.json`;
}

/** A name without an ending gets the one of what is in it. */
function withEnding(file: string): string {
  return /\.[^./\\]+$/.test(file) ? file : `${file}.json`;
}

/** Enough of a message to know which one it is. */
function beginningOf(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim();
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
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
