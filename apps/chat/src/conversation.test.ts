import { describe, expect, test } from 'vitest';
import { Conversation } from './conversation.js';
import { fakeModel } from './testing/fake-chat.js';

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

describe('Conversation', () => {
  test('remembers what was said, and passes settings on', async () => {
    const model = fakeModel('one two', 'three');
    const conversation = new Conversation(model, { system: 'be brief', settings: { temperature: 0.5 } });
    const heard: string[] = [];
    await conversation.answer('first', { onText: (text) => void heard.push(text) });
    await conversation.answer('second');
    expect(heard).toEqual(['one ', 'two']);
    expect(model.calls[1]?.messages).toEqual([
      { role: 'system', content: 'be brief' },
      user('first'),
      assistant('one two'),
      user('second'),
    ]);
    expect(model.calls[1]?.options).toMatchObject({ temperature: 0.5 });
    expect(conversation.messages.at(-1)).toEqual(assistant('three'));
    expect(conversation.tokenCount).toBe(7);
  });

  test('reset forgets the turns and keeps the system message', async () => {
    const conversation = new Conversation(fakeModel('x'), { system: 's' });
    await conversation.answer('first');
    conversation.reset();
    expect(conversation.messages).toEqual([{ role: 'system', content: 's' }]);
    expect(conversation.tokenCount).toBe(0);
  });

  test('a full context drops the oldest turns, whole ones, and keeps the system message', async () => {
    const model = fakeModel('a b c d', 'e f g h', 'i');
    model.contextLength = 16; // a quarter of it is left to the answer
    const conversation = new Conversation(model, { system: 'sys' });
    expect((await conversation.answer('1 2 3')).droppedMessages).toBe(0);
    expect((await conversation.answer('4 5 6')).droppedMessages).toBe(0);
    expect((await conversation.answer('7 8 9')).droppedMessages).toBe(2);
    expect(model.calls[2]?.messages).toEqual([
      { role: 'system', content: 'sys' },
      user('4 5 6'),
      assistant('e f g h'),
      user('7 8 9'),
    ]);
  });

  test('a short maxNewTokens leaves more room to the past', async () => {
    const model = fakeModel('a b c d', 'e f g h', 'i');
    model.contextLength = 19;
    const conversation = new Conversation(model, { settings: { maxNewTokens: 1 } });
    await conversation.answer('1 2 3');
    await conversation.answer('4 5 6');
    expect((await conversation.answer('7 8 9')).droppedMessages).toBe(0);
  });

  test('a message longer than the context is left to the model to refuse, and is not remembered', async () => {
    const model = fakeModel('x');
    const conversation = new Conversation(model);
    await conversation.answer('hello');
    model.failure = new Error('too long');
    await expect(conversation.answer('y')).rejects.toThrow('too long');
    expect(conversation.messages).toEqual([user('hello'), assistant('x')]);
  });

  test('a stopped answer stays as far as it came', async () => {
    const model = fakeModel('one two three');
    const conversation = new Conversation(model);
    const stop = new AbortController();
    model.afterPiece = () => stop.abort();
    const { result } = await conversation.answer('go', { signal: stop.signal });
    expect(result?.finishReason).toBe('abort');
    expect(conversation.messages).toEqual([user('go'), assistant('one ')]);
  });

  test('stopped before the first token: the message is taken back', async () => {
    const model = fakeModel('one');
    const conversation = new Conversation(model);
    const stop = new AbortController();
    stop.abort();
    expect((await conversation.answer('go', { signal: stop.signal })).result?.text).toBe('');
    model.failure = stop.signal.reason; // as an abort within a long prompt
    expect((await conversation.answer('go', { signal: stop.signal })).result).toBeUndefined();
    expect(conversation.messages).toEqual([]);
  });
});
