import type { UIMessage, UIMessageChunk } from 'ai';
import { expect, test } from 'vitest';
import { chatTransport, serveChat, WorkerChatTransport } from './chat-transport.js';
import { createRelufy } from './index.js';
import { scriptedModel } from './testing/scripted-model.js';

const messages: UIMessage[] = [{ id: '1', role: 'user', parts: [{ type: 'text', text: 'Hi' }] }];
const request = { trigger: 'submit-message', chatId: 'c', messageId: undefined, messages } as const;

async function textOf(stream: ReadableStream<UIMessageChunk>, hear: () => void = () => {}): Promise<string> {
  let text = '';
  const reader = stream.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read())
    if (next.value.type === 'text-delta') {
      text += next.value.delta;
      hear();
    }
  return text;
}

const transportOf = (...answers: string[]) =>
  chatTransport({ model: createRelufy({ models: { mine: scriptedModel(answers) } })('mine') });

test('answers in the same thread, as useChat asks', async () => {
  const stream = await transportOf('Hello you.').sendMessages({
    ...request,
    messages: [...messages],
    abortSignal: undefined,
  });
  expect(await textOf(stream)).toBe('Hello you.');
});

test('answers from the other side of a port, several at once, and stops when told to', async () => {
  const { port1, port2 } = new MessageChannel();
  serveChat(port1, transportOf('First answer.', 'Second answer.', 'x'.repeat(3000)));
  const transport = new WorkerChatTransport(port2);
  const send = (abortSignal?: AbortSignal) =>
    transport.sendMessages({ ...request, messages: [...messages], abortSignal });
  const both = await Promise.all([send(), send()]);
  expect((await Promise.all(both.map((stream) => textOf(stream)))).sort()).toEqual(['First answer.', 'Second answer.']);
  const stop = new AbortController();
  let heard = 0;
  const text = await textOf(await send(stop.signal), () => {
    if (++heard === 3) stop.abort();
  });
  expect(text.length).toBeGreaterThan(0);
  expect(text.length).toBeLessThan(3000);
  expect(await transport.reconnectToStream()).toBeNull();
  port1.close();
});

test('an error over there is an error here', async () => {
  const { port1, port2 } = new MessageChannel();
  serveChat(port1, {
    sendMessages: () => Promise.reject(new Error('No memory.')),
    reconnectToStream: async () => null,
  });
  const stream = await new WorkerChatTransport(port2).sendMessages({
    ...request,
    messages: [...messages],
    abortSignal: undefined,
  });
  await expect(textOf(stream)).rejects.toThrow('No memory.');
  port1.close();
});
