import { RelufyError } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import type { ChatMessage, ChatOptions } from './chat.js';
import { bundled, bundledConfig, bundledJson, caught } from './testing.js';
import { createTokenizer } from './tokenizer.js';

const user = (content: unknown): ChatMessage => ({ role: 'user', content });
const assistant = (content: unknown): ChatMessage => ({ role: 'assistant', content });

const withTemplates = (chatTemplate: unknown, chatTemplateJinja?: string) =>
  createTokenizer({
    name: 'chat',
    tokenizerJson: bundledJson,
    tokenizerConfig: JSON.stringify({ ...(JSON.parse(bundledConfig) as object), chat_template: chatTemplate }),
    chatTemplateJinja,
  });

function errorOf(messages: unknown, options: ChatOptions, tokenizer = bundled()): RelufyError {
  const error = caught(() => tokenizer.applyChatTemplate(messages as ChatMessage[], options));
  expect(RelufyError.is(error), String(error)).toBe(true);
  return error as RelufyError;
}

describe('the bundled chat template', () => {
  const tokenizer = bundled();

  it('renders and encodes, with one BOS', () => {
    const messages: ChatMessage[] = [{ role: 'system', content: 'Be kind.' }, user('Hi'), assistant('Yes'), user('Go')];
    const text = '<s><|system|>Be kind.<|user|>Hi<|assistant|>Yes<|end|><|user|>Go<|assistant|>';
    expect(tokenizer.hasChatTemplate).toBe(true);
    expect(tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true })).toBe(text);
    const ids = tokenizer.encodeChat(messages, { addGenerationPrompt: true });
    expect(ids.filter((id) => id === tokenizer.bosId)).toHaveLength(1);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it('leaves the last message open when asked', () => {
    const options = { continueFinalMessage: true };
    expect(tokenizer.applyChatTemplate([user('Hi'), assistant('Once ')], options)).toBe(
      '<s><|user|>Hi<|assistant|>Once ',
    );
    const trims = '{% for m in messages %}[{{ m.content | trim }}]{% endfor %}';
    expect(tokenizer.applyChatTemplate([assistant(' Once ')], { ...options, template: trims })).toBe('[Once');
    expect(errorOf([user('x')], { ...options, addGenerationPrompt: true }).code).toBe('option');
    expect(errorOf([], options).message).toContain('expected a last message with text');
    expect(errorOf([user('x')], { ...options, template: 'nothing' }).message).toContain('leaves the last message out');
  });
});

describe('which template is used', () => {
  it('prefers the call, then chat_template.jinja, then tokenizer_config.json', () => {
    const both = withTemplates('config', 'jinja');
    expect(both.applyChatTemplate([], { template: 'call' })).toBe('call');
    expect(both.applyChatTemplate([])).toBe('jinja');
    expect(withTemplates('config').applyChatTemplate([])).toBe('config');
  });

  it('chooses from a list by name, and the one for tools where there are tools', () => {
    const list = withTemplates([
      { name: 'default', template: 'D' },
      { name: 'tool_use', template: 'T{{ tools | length }}' },
      { name: 'rag', template: 'R' },
    ]);
    expect(list.applyChatTemplate([])).toBe('D');
    expect(list.applyChatTemplate([], { tools: [{}] })).toBe('T1');
    expect(list.applyChatTemplate([], { template: 'rag' })).toBe('R');
    const nameless = withTemplates([{ name: 'rag', template: 'R' }]);
    expect(errorOf([], {}, nameless).message).toContain('there are "rag"');
  });

  it('does not guess for a base model', () => {
    const base = createTokenizer({ name: 'base', tokenizerJson: bundledJson });
    expect(base.hasChatTemplate).toBe(false);
    const error = errorOf([user('Hi')], {}, base);
    expect(error.code).toBe('tokenizer');
    expect(error.message).toContain('tokenizer "base": the model has no chat template');
    expect(base.applyChatTemplate([user('Hi')], { template: '{{ messages[0].content }}' })).toBe('Hi');
  });
});

describe('what a template sees', () => {
  const render = (template: string, messages: ChatMessage[] = [], options: ChatOptions = {}): string =>
    bundled().applyChatTemplate(messages, { ...options, template });

  it('special tokens, switches and extra variables', () => {
    expect(render('{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token }}')).toBe('<s><|end|><|end|>');
    expect(render('{{ add_generation_prompt }} {{ tools is none }} {{ documents is none }}')).toBe('False True True');
    expect(render('{{ enable_thinking }} {{ range }}', [], { enable_thinking: true, range: 'mine' })).toBe('True mine');
    expect(render('{{ bos_token }}', [], { bos_token: '[B]' })).toBe('[B]');
    expect(render("{{ strftime_now('%Y') }}")).toBe(String(new Date().getFullYear()));
  });

  it('arguments of tool calls as objects, whatever form they came in', () => {
    const template = '{{ messages[0].tool_calls[0].function.arguments.city }}';
    for (const argument of ['{"city": "Bern"}', { city: 'Bern' }]) {
      const call = { type: 'function', function: { name: 'f', arguments: argument } };
      expect(render(template, [{ role: 'assistant', tool_calls: [call] }])).toBe('Bern');
    }
  });

  it('reasoning under both of its names', () => {
    const message = { role: 'assistant', content: 'x', reasoning: 'because' } as const;
    expect(render('{{ messages[0].reasoning_content }} {{ messages[0].thinking }}', [message])).toBe('because because');
  });

  it('roles and keys that the template names, whatever they are', () => {
    const template =
      "{% for m in messages %}{% if m.role == 'observation' %}{{ m.parts[0] }}{% else %}{{ m.role }}{% endif %}{% endfor %}";
    expect(render(template, [{ role: 'observation', parts: ['seen'] }])).toBe('seen');
    expect(render(template, [{ role: 'developer', content: 'x' }])).toBe('developer');
    expect(caught(() => render(template, [{ role: 'ipython', content: 'x' }]))).toBeInstanceOf(Error);
  });

  it('nothing of the messages that it changes', () => {
    const messages = [user('a')];
    render('{{ messages }}', messages, { continueFinalMessage: false });
    expect(messages).toEqual([user('a')]);
  });
});

describe('bad chats', () => {
  const template = "{% for m in messages %}{{ 'A' + m.content }}{% endfor %}";

  it.each([
    ['no list', 'hello', 'messages: expected a list'],
    ['a message that is a string', ['hello'], 'messages[0]: expected an object'],
    ['null', [null], 'messages[0]: expected an object'],
    ['no role', [user('a'), { content: 'x' }], 'messages[1].role: expected a string, got undefined'],
    ['a role that is a number', [{ role: 1, content: 'x' }], 'messages[0].role: expected a string, got 1'],
    ['content that is a number', [user(5)], 'messages[0].content: expected a string or a list of parts, got 5'],
    ['content that is an object', [user({ text: 'x' })], 'messages[0].content'],
    ['parts where the template needs a string', [user([{ type: 'text', text: 'x' }])], 'cannot apply "+"'],
    ['no content where the template needs it', [{ role: 'user' }], 'messages[0]: expected a content, got none'],
    [
      'contents',
      [{ role: 'user', contents: 'hi' }],
      'messages[0]: expected a content, got only "contents". Pass { role, content }.',
    ],
    [
      'a role that nobody knows',
      [{ role: 'usr', content: 'hi' }],
      'messages[0].role: expected system, developer, user, assistant, tool, function or a role that the template names, got "usr". Did you mean user?',
    ],
    ['a role with a capital', [user('a'), { role: 'Assistant', content: 'x' }], 'Did you mean assistant?'],
    ['a role of another system', [{ role: 'gpt', content: 'x' }], 'got "gpt". Name who speaks.'],
    ['an empty role', [{ role: '', content: 'x' }], 'messages[0].role: expected system'],
    ['null content', [user(null)], 'cannot apply "+"'],
  ])('%s', (_name, messages, what) => {
    const error = errorOf(messages, { template });
    expect(error.code).toBe('input');
    expect(error.message).toContain(what);
    expect(error.message).toMatch(/^tokenizer "bundled": /);
  });

  it('a template that refuses', () => {
    const error = errorOf([], { template: "{{ raise_exception('roles must alternate') }}" });
    expect(error.code).toBe('input');
    expect(error.message).toContain('refuses the messages (roles must alternate)');
  });

  it.each(['{% if %}', '{{ x', '{% for x in y %}', '{% foo %}', '{{ 1 + }}', '{# x', '{% raw %}', '{{ "a }}'])(
    'a template that is no Jinja: %s',
    (broken) => {
      const error = errorOf([], { template: broken });
      expect(error.code).toBe('tokenizer');
      expect(error.message).toContain('the chat template is not valid Jinja');
    },
  );

  it('a template that is no string', () => {
    expect(errorOf([], { template: 5 as unknown as string }).code).toBe('option');
  });
});
