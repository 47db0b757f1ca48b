// All conversations as one JSON file, and back. What is read was written by anybody: every field is checked, and an error
// names the place. Does not own storage (chat-store.ts).
import { type Settings, settingTable } from '@relufy/chat/settings';
import type { Figures } from '../engine/engine.js';
import { type Chat, type Message, newId } from './chat-tree.js';

const format = 'relufy-chats';

export interface ChatsAndMessages {
  readonly chats: readonly Chat[];
  readonly messages: readonly Message[];
}

export function chatFile({ chats, messages }: ChatsAndMessages): string {
  const withMessages = chats.map((chat) => ({
    ...chat,
    messages: messages.filter((message) => message.chat === chat.id).map(({ chat: _, ...message }) => message),
  }));
  return JSON.stringify({ format, version: 1, exportedAt: new Date().toISOString(), chats: withMessages }, null, 2);
}

/**
 * What a file holds. A chat that is there already (`known`) comes as a copy with ids of its own, unless it is the same.
 * @throws Error that names what does not fit.
 */
export function parseChatFile(text: string, known: ReadonlyMap<string, Chat>): ChatsAndMessages {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error('The file is no JSON. Choose one that this page exported.');
  }
  const { format: got, version, chats: list } = record('file', file);
  if (got !== format || version !== 1 || !Array.isArray(list))
    throw new Error(`The file holds no chats of this page: expected "format": "${format}" and "version": 1.`);
  const chats: Chat[] = [];
  const messages: Message[] = [];
  for (const [at, given] of list.entries()) {
    const read = parseChat(`chats[${at}]`, given);
    const there = known.get(read.chat.id);
    if (there?.updatedAt === read.chat.updatedAt) continue;
    const own = there === undefined ? read : withNewIds(read);
    chats.push(own.chat);
    messages.push(...own.messages);
  }
  return { chats, messages };
}

interface ReadChat {
  readonly chat: Chat;
  readonly messages: readonly Message[];
}

function parseChat(where: string, given: unknown): ReadChat {
  const { messages: list, ...fields } = record(where, given);
  if (!Array.isArray(list)) throw wrong(`${where}.messages`, 'a list', list);
  const chat: Chat = {
    id: textOf(`${where}.id`, fields.id),
    title: textOf(`${where}.title`, fields.title),
    createdAt: numberOf(`${where}.createdAt`, fields.createdAt),
    updatedAt: numberOf(`${where}.updatedAt`, fields.updatedAt),
    system: textOf(`${where}.system`, fields.system),
    settings: settingsOf(`${where}.settings`, fields.settings),
    leaf: textOf(`${where}.leaf`, fields.leaf),
  };
  const messages = list.map((one, at) => parseMessage(`${where}.messages[${at}]`, chat.id, one));
  const ids = new Set(messages.map(({ id }) => id));
  for (const [at, { parent }] of messages.entries())
    if (parent !== '' && !ids.has(parent))
      throw wrong(`${where}.messages[${at}].parent`, 'a message of the chat', parent);
  if (chat.leaf !== '' && !ids.has(chat.leaf)) throw wrong(`${where}.leaf`, 'a message of the chat', chat.leaf);
  return { chat, messages };
}

function parseMessage(where: string, chat: string, given: unknown): Message {
  const fields = record(where, given);
  const { role, finish } = fields;
  if (role !== 'user' && role !== 'assistant') throw wrong(`${where}.role`, '"user" or "assistant"', role);
  if (finish !== undefined && finish !== 'stop' && finish !== 'length' && finish !== 'abort')
    throw wrong(`${where}.finish`, '"stop", "length" or "abort"', finish);
  return {
    id: textOf(`${where}.id`, fields.id),
    chat,
    parent: textOf(`${where}.parent`, fields.parent),
    role,
    text: textOf(`${where}.text`, fields.text),
    createdAt: numberOf(`${where}.createdAt`, fields.createdAt),
    ...(fields.model !== undefined && { model: textOf(`${where}.model`, fields.model) }),
    ...(fields.settings !== undefined && { settings: settingsOf(`${where}.settings`, fields.settings) }),
    ...(fields.figures !== undefined && { figures: figuresOf(`${where}.figures`, fields.figures) }),
    ...(finish !== undefined && { finish }),
    ...(fields.error !== undefined && { error: textOf(`${where}.error`, fields.error) }),
  };
}

function withNewIds({ chat, messages }: ReadChat): ReadChat {
  const ids = new Map(messages.map(({ id }) => [id, newId()]));
  const id = newId();
  const renamed = (old: string) => ids.get(old) ?? '';
  return {
    chat: { ...chat, id, title: `${chat.title} (imported)`, leaf: renamed(chat.leaf) },
    messages: messages.map((one) => ({ ...one, chat: id, id: renamed(one.id), parent: renamed(one.parent) })),
  };
}

function wrong(where: string, expected: string, got: unknown): Error {
  return new Error(
    `${where}: expected ${expected}, got ${(JSON.stringify(got) ?? 'nothing').slice(0, 40)}. Nothing was imported.`,
  );
}

function record(where: string, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(where, 'an object', value);
  return value as Record<string, unknown>;
}

function textOf(where: string, value: unknown): string {
  if (typeof value !== 'string') throw wrong(where, 'a text', value);
  return value;
}

function numberOf(where: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(where, 'a number', value);
  return value;
}

function settingsOf(where: string, value: unknown): Settings {
  const settings: Record<string, number> = {};
  for (const [key, given] of Object.entries(record(where, value))) {
    const rule = settingTable.find((setting) => setting.key === key);
    if (rule === undefined) throw wrong(`${where}.${key}`, 'a setting that this page knows', given);
    if (typeof given !== 'number' || !rule.fits(given)) throw wrong(`${where}.${key}`, rule.expected, given);
    settings[key] = given;
  }
  return settings;
}

function figuresOf(where: string, value: unknown): Figures {
  const given = record(where, value);
  const number = (key: string) => numberOf(`${where}.${key}`, given[key]);
  const maybe = (key: 'seed' | 'weightBytes' | 'denseWeightBytes') =>
    given[key] === undefined ? {} : { [key]: number(key) };
  return {
    promptTokens: number('promptTokens'),
    cachedTokens: number('cachedTokens'),
    completionTokens: number('completionTokens'),
    tokensPerSecond: number('tokensPerSecond'),
    ...maybe('seed'),
    ...maybe('weightBytes'),
    ...maybe('denseWeightBytes'),
  };
}
