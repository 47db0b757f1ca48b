// Which format a model has, by what its tokenizer files say; and a model whose template knows tools and thoughts, over HTTP.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '@relufy/models';
import { createTokenizer } from '@relufy/tokenizer';
import { expect, test } from 'vitest';
import { loaded, served, talesFolder } from '../testing/served.js';
import { formatOf } from './known-formats.js';

const tokenizerJson = await readFile(join(talesFolder, 'tokenizer.json'), 'utf8');
const tokenizerWith = (config: object) =>
  createTokenizer({ name: 'test', tokenizerJson, tokenizerConfig: JSON.stringify(config) });
const calls = { name: '{content.name}', arguments: '{content.arguments}' };
const region = (open: string, close: string) => ({
  start_anchor: '<|assistant|>',
  fields: {
    content: {},
    tool_calls: { open, close, content: 'json', repeats: true, transform: { type: 'function', function: calls } },
  },
});

test.each([
  ['{{ messages }}', undefined, { calls: 'hermes', knowsTools: false, thinks: false }],
  ['{% if tools %}<tool_call>{% endif %}<think>', undefined, { calls: 'hermes', knowsTools: true, thinks: true }],
  ['{% if tools %}{% endif %}<|start_header_id|>', undefined, { calls: 'llama', knowsTools: true, thinks: false }],
  ['{% if tools %}[AVAILABLE_TOOLS]{% endif %}[TOOL_CALLS]', undefined, { calls: 'mistral', knowsTools: true }],
  ['{{ tools }}', region('<tool_call>', '</tool_call>'), { calls: 'hermes', thinks: true }],
  ['{{ tools }}', region('<call>', '</call>'), { calls: undefined, knowsTools: true }],
  ['{{ tools }}', { fields: 7 }, { calls: 'hermes' }],
])('%s', (chat_template, response_template, expected) => {
  expect(formatOf(tokenizerWith({ chat_template, response_template }))).toMatchObject(expected);
});

test('a template that opens thoughts: they are set apart, and no call is taken for one', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'relufy-thinks-'));
  try {
    await cp(talesFolder, folder, { recursive: true });
    const config = JSON.parse(await readFile(join(folder, 'tokenizer_config.json'), 'utf8')) as object;
    const chat_template =
      '{{ bos_token }}{% if tools %}<tool_call>{{ tools | length }}{% endif %}{% for m in messages %}<|user|>{{ m.content }}{% endfor %}<|assistant|>{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}';
    await writeFile(join(folder, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template }));
    const server = served({ models: [loaded('thinker', await loadModel(folder, { threads: 1, slots: 2 }))] });
    const messages = [{ role: 'user', content: 'A fox' }];
    const asked = { messages, max_tokens: 120, temperature: 0.7, seed: 1 };
    const { choices } = await server.json('/v1/chat/completions', { ...asked, max_tokens: 10 });
    expect(choices[0]?.message.content).toBe('');
    expect(choices[0]?.message.reasoning_content?.length).toBeGreaterThan(10);
    const grammar = 'root ::= "well</think>done"';
    const apart = await server.json('/api/chat', { messages, stream: false, options: { num_predict: 6 } });
    expect(apart.message).toMatchObject({ content: '', thinking: expect.any(String) });
    const held = await server.json('/v1/chat/completions', { ...asked, grammar });
    expect(held.choices[0]?.message.content).toBe('well</think>done');
    const parameters = {
      type: 'object',
      properties: { n: { type: 'integer', maximum: 9, minimum: 0 } },
      required: ['n'],
      additionalProperties: false,
    };
    const tools = [{ type: 'function', function: { name: 'count', parameters } }];
    const called = await server.json('/v1/chat/completions', {
      ...asked,
      tools,
      tool_choice: 'required',
      parallel_tool_calls: false,
    });
    expect(called.choices[0]?.message).toMatchObject({ content: null, tool_calls: [{ function: { name: 'count' } }] });
    expect(called.choices[0]?.message.reasoning_content).toBeUndefined();
    await server.handler.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});
