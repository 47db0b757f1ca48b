import { expect, test } from 'vitest';
import { chatFile, parseChatFile } from './chat-file.js';
import type { Chat, Message } from './chat-tree.js';

const chat: Chat = {
  id: 'c',
  title: 'Foxes',
  createdAt: 1,
  updatedAt: 9,
  system: 'Be brief.',
  settings: { temperature: 0.5 },
  leaf: 'a',
};
const figures = {
  promptTokens: 3,
  cachedTokens: 0,
  completionTokens: 2,
  tokensPerSecond: 10,
  seed: 7,
  weightBytes: 5,
  denseWeightBytes: 9,
};
const messages: Message[] = [
  { id: 'q', chat: 'c', parent: '', role: 'user', text: 'Hi', createdAt: 2 },
  {
    id: 'a',
    chat: 'c',
    parent: 'q',
    role: 'assistant',
    text: 'Ho',
    createdAt: 3,
    model: 'llama-tales',
    settings: {},
    figures,
    finish: 'stop',
  },
  { id: 'b', chat: 'c', parent: 'q', role: 'assistant', text: '', createdAt: 4, error: 'It stopped.' },
];
const file = chatFile({ chats: [chat], messages });

test('what is written is read, and what is there already is not written again', () => {
  expect(parseChatFile(file, new Map())).toEqual({ chats: [chat], messages });
  expect(parseChatFile(file, new Map([['c', chat]]))).toEqual({ chats: [], messages: [] });
});

test('a chat that went on elsewhere comes as a copy, branches included', () => {
  const read = parseChatFile(file, new Map([['c', { ...chat, updatedAt: 10 }]]));
  const [copy] = read.chats;
  expect(copy?.id).not.toBe('c');
  expect(copy?.title).toBe('Foxes (imported)');
  const [q, a, b] = read.messages;
  expect([a?.parent, b?.parent, copy?.leaf]).toEqual([q?.id, q?.id, a?.id]);
  expect(new Set(read.messages.map(({ id }) => id)).size).toBe(3);
  expect(read.messages.every((message) => message.chat === copy?.id)).toBe(true);
});

test.each([
  ['no JSON', (): string => '{', 'The file is no JSON'],
  ['another file', () => '{"format":"x"}', 'holds no chats of this page'],
  [
    'a role',
    (text: string) => text.replace('"assistant"', '"robot"'),
    'chats[0].messages[1].role: expected "user" or "assistant", got "robot"',
  ],
  [
    'a lost parent',
    (text: string) => text.replace('"parent": "q"', '"parent": "z"'),
    'chats[0].messages[1].parent: expected a message of the chat, got "z"',
  ],
  [
    'a setting',
    (text: string) => text.replace('0.5', '-1'),
    'chats[0].settings.temperature: expected a number >= 0, got -1',
  ],
  [
    'an unknown setting',
    (text: string) => text.replace('temperature', 'heat'),
    'chats[0].settings.heat: expected a setting',
  ],
  [
    'a time',
    (text: string) => text.replace('"updatedAt": 9', '"updatedAt": null'),
    'chats[0].updatedAt: expected a number, got null',
  ],
])('%s that does not fit is named', (_, change, error) => {
  expect(() => parseChatFile(change(file), new Map())).toThrow(error);
});
