import { expect, test } from 'vitest';
import { type Message, newestLeaf, newId, pathTo, siblings, timestamp, titleOf } from './chat-tree.js';

const message = (id: string, parent: string, createdAt: number, role: Message['role'] = 'user'): [string, Message] => [
  id,
  { id, chat: 'c', parent, role, text: id, createdAt },
];
// q1 - a1 - q2 - a2
//    \ b1 - r2
const messages = new Map([
  message('q1', '', 1),
  message('a1', 'q1', 2, 'assistant'),
  message('b1', 'q1', 5, 'assistant'),
  message('q2', 'a1', 3),
  message('a2', 'q2', 4, 'assistant'),
  message('r2', 'b1', 6),
]);
const ids = (list: readonly Message[]) => list.map(({ id }) => id);

test('a path leads from the first message to a leaf, siblings stand in order, a branch has its newest end', () => {
  expect(ids(pathTo(messages, 'a2'))).toEqual(['q1', 'a1', 'q2', 'a2']);
  expect(ids(pathTo(messages, 'r2'))).toEqual(['q1', 'b1', 'r2']);
  expect(ids(siblings(messages, messages.get('a1') as Message))).toEqual(['a1', 'b1']);
  expect([newestLeaf(messages, 'q1'), newestLeaf(messages, 'a1'), newestLeaf(messages, 'r2')]).toEqual([
    'r2',
    'a2',
    'r2',
  ]);
});

test('what a damaged file may hold ends: a lost message, a circle', () => {
  expect(ids(pathTo(new Map([message('x', 'lost', 1)]), 'x'))).toEqual(['x']);
  const circle = new Map([message('x', 'y', 1), message('y', 'x', 2)]);
  expect(ids(pathTo(circle, 'x'))).toEqual(['y', 'x']);
  expect(newestLeaf(circle, 'x')).toBe('x');
});

test('titles, ids and times', () => {
  expect(titleOf('  \n')).toBe('New chat');
  expect(titleOf('Tell me\nmore')).toBe('Tell me');
  expect(titleOf('word '.repeat(30))).toMatch(/^(word )*word…$/);
  expect(titleOf('word '.repeat(30)).length).toBeLessThanOrEqual(58);
  expect(new Set(Array.from({ length: 100 }, newId)).size).toBe(100);
  const times = Array.from({ length: 100 }, timestamp);
  expect(new Set(times).size).toBe(100);
});
