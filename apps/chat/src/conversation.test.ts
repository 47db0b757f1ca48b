import { describe, expect, test } from 'vitest';
import { Conversation } from './conversation.js';
import { fakeModel } from './testing/fake-chat.js';

const user = (content: string) => ({ role: 'user', content }) as const;
const assistant = (content: string) => ({ role: 'assistant', content }) as const;

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

  test('a full context keeps the system message, the first turn and the newest; the middle goes, whole turns', async () => {
    const model = fakeModel('a b c', 'd e f', 'g h', 'i', 'j');
    model.contextLength = 21; // a quarter of it is left to the answer
    const conversation = new Conversation(model, { system: 'sys' });
    expect((await conversation.answer('1 2')).droppedMessages).toBe(0);
    expect((await conversation.answer('3 4 5')).droppedMessages).toBe(0);
    expect((await conversation.answer('6 7')).droppedMessages).toBe(0);
    expect((await conversation.answer('8')).droppedMessages).toBe(2);
    expect(model.calls[3]?.messages).toEqual([
      { role: 'system', content: 'sys' },
      user('1 2'),
      assistant('a b c'),
      user('6 7'),
      assistant('g h'),
      user('8'),
    ]);
    expect(conversation.forgottenMessages).toBe(2);
    expect(conversation.tokenCount).toBe(12);
    // people still have all of it
    expect(conversation.messages).toHaveLength(9);
    expect((await conversation.answer('9')).droppedMessages).toBe(0);
  });

  test('where the newest turn would go too, the end of its answer stays', async () => {
    const words = (name: string, count: number) => Array.from({ length: count }, (_, i) => `${name}${i}`).join(' ');
    const model = fakeModel(words('a', 20), words('b', 30), 'fine');
    model.contextLength = 64;
    const conversation = new Conversation(model);
    await conversation.answer('first');
    await conversation.answer('second');
    expect((await conversation.answer('go on')).droppedMessages).toBe(2);
    // 64 less a quarter, less 21 of the first turn, 1 of the second and 2 of the question: 24, one of them the mark
    const end = Array.from({ length: 23 }, (_, i) => `b${i + 7}`).join(' ');
    expect(model.calls[2]?.messages).toEqual([
      user('first'),
      assistant(words('a', 20)),
      user('second'),
      assistant(`… ${end}`),
      user('go on'),
    ]);
    expect(conversation.messages.at(3)).toEqual(assistant(words('b', 30)));
  });

  test('the first turn goes only when nothing else helps', async () => {
    const model = fakeModel('a b c d e f g h i j', 'k', 'l');
    model.contextLength = 24;
    const conversation = new Conversation(model);
    await conversation.answer('1 2 3');
    await conversation.answer('4 5');
    expect((await conversation.answer('1 2 3 4 5 6 7 8')).droppedMessages).toBe(2);
    expect(model.calls[2]?.messages).toEqual([user('4 5'), assistant('k'), user('1 2 3 4 5 6 7 8')]);
    conversation.reset();
    expect(conversation.forgottenMessages).toBe(0);
  });

  test('an answer that fills the context goes on: the middle goes, the beginning and its end stay', async () => {
    const long = Array.from({ length: 30 }, (_, i) => `w${i}`).join(' ');
    const model = fakeModel('a b', 'c d', long);
    model.contextLength = 32;
    const conversation = new Conversation(model, { system: 'sys', settings: { seed: 5 } });
    await conversation.answer('first question');
    await conversation.answer('second question');
    const heard: string[] = [];
    const { result, droppedMessages, wentOn } = await conversation.answer('go', {
      onText: (text) => void heard.push(text),
    });
    expect(result).toMatchObject({ text: long, finishReason: 'stop', seed: 1 });
    expect(result?.usage.completionTokens).toBe(30);
    expect(result?.tokenIds).toHaveLength(30);
    expect(heard.join('')).toBe(long);
    expect({ droppedMessages, wentOn }).toEqual({ droppedMessages: 2, wentOn: true });
    // never more than leaves a quarter of the context
    expect(model.wentOnWith.length).toBeGreaterThan(0);
    for (const length of model.wentOnWith) expect(length).toBeLessThanOrEqual(24);
    expect(conversation.messages.at(-1)).toEqual(assistant(long));
  });

  test('an answer without an end stops after as many tokens as the context has, or as maxNewTokens says', async () => {
    const endless = Array.from({ length: 500 }, (_, i) => `w${i}`).join(' ');
    const model = fakeModel(endless);
    model.contextLength = 32;
    const conversation = new Conversation(model);
    const { result } = await conversation.answer('go');
    expect(result).toMatchObject({ finishReason: 'length', usage: { completionTokens: 32 } });
    conversation.settings = { maxNewTokens: 70 };
    expect((await conversation.answer('go on')).result?.usage.completionTokens).toBe(70);
    conversation.settings = { maxNewTokens: 3 };
    const short = await conversation.answer('and on');
    expect(short).toMatchObject({ wentOn: false, result: { usage: { completionTokens: 3 } } });
  });

  test('a question that takes the context gets the answer that fits', async () => {
    const model = fakeModel('a b c d e f');
    model.contextLength = 8;
    const { result, wentOn } = await new Conversation(model).answer('1 2 3 4 5 6 7');
    expect({ wentOn, text: result?.text }).toEqual({ wentOn: false, text: 'a b ' });
  });

  test('a stop while an answer goes on keeps what there is', async () => {
    const model = fakeModel(Array.from({ length: 40 }, (_, i) => `w${i}`).join(' '));
    model.contextLength = 32;
    const stop = new AbortController();
    let pieces = 0;
    model.afterPiece = () => {
      if (++pieces === 33) stop.abort();
    };
    const conversation = new Conversation(model, { settings: { maxNewTokens: 40 } });
    const { result } = await conversation.answer('go', { signal: stop.signal });
    expect(result).toMatchObject({ finishReason: 'abort', usage: { completionTokens: 33 } });
    expect(String(conversation.messages.at(-1)?.content).split(' ').filter(Boolean)).toHaveLength(33);
  });

  test('a short maxNewTokens leaves more room to the past', async () => {
    const model = fakeModel('a b c d', 'e f g h', 'i');
    model.contextLength = 19;
    const conversation = new Conversation(model, { settings: { maxNewTokens: 1 } });
    await conversation.answer('1 2 3');
    await conversation.answer('4 5 6');
    expect((await conversation.answer('7 8 9')).droppedMessages).toBe(0);
  });

  test('a message longer than the context is refused by its size, before the model is asked, and not remembered', async () => {
    const model = fakeModel('x');
    model.contextLength = 6;
    const conversation = new Conversation(model);
    await conversation.answer('hello');
    await expect(conversation.answer('1 2 3 4 5 6 7')).rejects.toThrow(
      /^Your message is too long: 7 tokens, this model holds 6\.$/,
    );
    conversation.system = 'a b c d';
    await expect(conversation.answer('1 2 3')).rejects.toThrow(
      'too long: 7 tokens, this model holds 6. 4 of them are the system message.',
    );
    expect(model.calls).toHaveLength(1);
    expect(conversation.messages).toEqual([{ role: 'system', content: 'a b c d' }, user('hello'), assistant('x')]);
  });

  test('a failure leaves the conversation as it was', async () => {
    const model = fakeModel('x');
    const conversation = new Conversation(model);
    await conversation.answer('hello');
    model.failure = new Error('broken');
    await expect(conversation.answer('y')).rejects.toThrow('broken');
    model.failure = new Error('broken');
    await expect(conversation.retry()).rejects.toThrow('broken');
    expect(conversation.messages).toEqual([user('hello'), assistant('x')]);
  });

  test('retry answers the newest message once more, with another seed; undo takes the turn back', async () => {
    const model = fakeModel('one', 'two', 'three', 'four');
    const conversation = new Conversation(model, { settings: { seed: 7 } });
    await expect(conversation.retry()).rejects.toThrow('retry: expected a message');
    await conversation.answer('hello');
    await conversation.retry();
    await conversation.retry();
    expect(conversation.messages).toEqual([user('hello'), assistant('three')]);
    expect(model.calls.map(({ options }) => options.seed)).toEqual([7, 8, 9]);
    await conversation.answer('more');
    expect(model.calls[3]?.options.seed).toBe(7);
    expect(conversation.undo()).toEqual([user('more'), assistant('four')]);
    expect(conversation.messages).toEqual([user('hello'), assistant('three')]);
    conversation.undo();
    expect(conversation.undo()).toBeUndefined();
  });

  test('load goes on from messages of before', async () => {
    const model = fakeModel('fine');
    const conversation = new Conversation(model, { system: 'old' });
    conversation.load([{ role: 'system', content: 'new' }, user('a'), assistant('b'), user('c')]);
    expect(conversation.system).toBe('new');
    await conversation.retry();
    expect(conversation.messages).toEqual([
      { role: 'system', content: 'new' },
      user('a'),
      assistant('b'),
      user('c'),
      assistant('fine'),
    ]);
    conversation.load([user('x'), assistant('y')]);
    expect(conversation.messages).toEqual([user('x'), assistant('y')]);
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
