import { describe, expect, test } from 'vitest';
import { fromJson, fromMarkdown, toJson, toMarkdown } from './saved-chat.js';

const contents = [
  'plain',
  '',
  '\n',
  'a\n\nb\n',
  '## user',
  '\\## assistant\n\\\\## system',
  '```md\n## user\n```',
  '# Chat with me',
];

describe('saved chats', () => {
  test('both formats give back what they were given', () => {
    const messages = [
      { role: 'system', content: 'be brief' },
      ...contents.flatMap((content) => [
        { role: 'user', content },
        { role: 'assistant', content: `${content}!` },
      ]),
    ] as Parameters<typeof toJson>[0]['messages'];
    const chat = { model: 'org/name', messages };
    expect(fromJson('x.json', toJson(chat))).toEqual(chat);
    expect(fromMarkdown('x.md', toMarkdown(chat))).toEqual(chat);
    expect(fromMarkdown('x.md', toMarkdown({ messages }).replaceAll('\n', '\r\n'))).toEqual({ messages });
  });

  test('a plain list of messages is a chat', () => {
    expect(fromJson('x', '[{"role": "user", "content": "hi"}]').messages).toEqual([{ role: 'user', content: 'hi' }]);
  });

  test.each([
    ['', 'no JSON'],
    ['null', 'no "messages"'],
    ['{"messages": 3}', 'no "messages"'],
    ['[null]', 'the role undefined in message 1'],
    ['[{"role": "usr", "content": "hi"}]', 'the role "usr" in message 1'],
    ['[{"role": "user", "content": 3}]', 'no text as content of message 1'],
    ['[{"role": "user", "content": "a"}, {"role": "system", "content": "b"}]', 'a system message at place 2'],
  ])('%s is none', (text, got) => expect(() => fromJson('x.json', text)).toThrow(`got ${got}.`));
});
