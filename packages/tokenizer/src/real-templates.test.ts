// Chat templates of public models with tools, calls and reasoning, against what transformers 5.24 rendered
// (fixtures/make-chats.py).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ChatMessage } from './messages.js';
import { bundled } from './testing.js';

interface Chat {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly unknown[] | null;
  readonly addGenerationPrompt: boolean;
}

const fixture = (name: string): string => readFileSync(new URL(`../fixtures/${name}`, import.meta.url), 'utf8');
const { special, chats, rendered } = JSON.parse(fixture('chats.json')) as {
  special: Record<string, string>;
  chats: Record<string, Chat>;
  rendered: Record<string, Record<string, string | null>>;
};

describe.each(Object.entries(rendered))('%s', (name, texts) => {
  const template = fixture(`chat-templates/${name}.jinja`);
  const tokenizer = bundled();

  function render({ messages, tools, addGenerationPrompt }: Chat): string | null {
    const options = { ...special, template, addGenerationPrompt, tools: tools ?? undefined };
    try {
      return tokenizer.applyChatTemplate(messages, options);
    } catch (error) {
      expect(String(error)).toMatch(/the chat template (refuses the messages|failed on these messages)/);
      return null;
    }
  }

  it.each(Object.entries(texts))('%s', (chat, text) => {
    expect(render(chats[chat]!)).toBe(text);
  });

  it('takes arguments as text and content in parts for the same', () => {
    const { messages, ...others } = chats.called!;
    const asText = messages.map((message) => ({
      ...message,
      ...(typeof message.content === 'string' &&
        message.role === 'user' && { content: [{ type: 'text', text: message.content }] }),
      ...(message.tool_calls && {
        tool_calls: message.tool_calls.map((call) => {
          const { arguments: given, ...named } = call.function!;
          return { ...call, function: { ...named, arguments: pythonJson(given) } };
        }),
      }),
    }));
    if (texts.called !== null) expect(render({ messages: asText, ...others })).toBe(texts.called);
  });
});

/** As json.dumps(ensure_ascii=False) writes it, and `tojson` with it. */
const pythonJson = (value: unknown): string =>
  bundled().applyChatTemplate([], { template: '{{ value | tojson }}', value });
