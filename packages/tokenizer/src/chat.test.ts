import { RelufyError } from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import type { ChatOptions } from './chat.js';
import { parsePythonJson } from './jinja/json-floats.js';
import type { ChatMessage } from './messages.js';
import { bundled, bundledConfig, bundledJson, caught } from './testing.js';
import { createTokenizer } from './tokenizer.js';

const user = (content: unknown): ChatMessage => ({ role: 'user', content: content as string });
const assistant = (content: string): ChatMessage => ({ role: 'assistant', content });

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
    const messages = [{ role: 'system', content: 'Be kind.' } as const, user('Hi'), assistant('Yes'), user('Go')];
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
    expect(errorOf([], {}, nameless).message).toContain('there are rag');
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

  it.each([
    ['{{ a.city }}{{ a["city"] }}', 'BernBern'],
    ['{{ a | tojson }}', '{"city": "Bern", "n": 2.0}'],
    ['{{ call | tojson }}', '{"function": {"name": "f", "arguments": {"city": "Bern", "n": 2.0}}}'],
    ['{% for k, v in a.items() %}{{ k }}={{ v }};{% endfor %}', 'city=Bern;n=2.0;'],
    ['{% for k, v in a | items %}{{ k }}={{ v }};{% endfor %}', 'city=Bern;n=2.0;'],
    ['{% for k in a %}{{ k }}={{ a[k] }};{% endfor %}', 'city=Bern;n=2.0;'],
    ['{{ a | dictsort | length }}{{ a | length }}{{ a.get("zz") }}{{ a.keys() | list }}', "22None['city', 'n']"],
  ])('members of arguments of tool calls, whatever form they came in: %s', (template, text) => {
    for (const argument of ['{"city": "Bern", "n": 2.0}', parsePythonJson('{"city": "Bern", "n": 2.0}')]) {
      const call = { function: { name: 'f', arguments: argument } };
      const head = '{% set call = messages[0].tool_calls[0] %}{% set a = call.function.arguments %}';
      expect(render(head + template, [{ role: 'assistant', tool_calls: [call] }])).toBe(text);
    }
  });

  it.each([
    ['{{ a }}', '{"city":"Bern"}'],
    ['{{ "<" + a + ">" }}', '<{"city":"Bern"}>'],
    ['{{ "<" ~ a ~ ">" }}{{ "%s" % a }}', '<{"city":"Bern"}>{"city":"Bern"}'],
    ['{{ a if a is string else a | tojson }}', '{"city":"Bern"}'],
    ['{% if a is mapping %}{{ a | tojson }}{% else %}{{ a }}{% endif %}', '{"city":"Bern"}'],
    [
      '{{ a | replace("Bern", "Chur") | trim }}{{ a.strip() }}{{ a.startswith("{") }}',
      '{"city":"Chur"}{"city":"Bern"}True',
    ],
    ['{{ [a] }}', `['{"city":"Bern"}']`],
  ])('arguments that came as text stay text where the template wants text: %s', (template, text) => {
    for (const call of [
      { function: { name: 'f', arguments: '{"city":"Bern"}' } },
      { name: 'f', arguments: '{"city":"Bern"}' },
    ]) {
      const head = '{% set call = messages[0].tool_calls[0] %}{% set a = (call.function or call).arguments %}';
      expect(render(head + template, [{ role: 'assistant', tool_calls: [call] }])).toBe(text);
    }
  });

  it('arguments that are no JSON of an object as they are', () => {
    for (const text of ['{"city": ', '5', '[1]', 'city', '']) {
      const call = { function: { name: 'f', arguments: text } };
      const template = '{{ messages[0].tool_calls[0].function.arguments | tojson }}';
      expect(render(template, [{ role: 'assistant', tool_calls: [call] }])).toBe(JSON.stringify(text));
    }
  });

  const parts = [
    { type: 'text', text: 'Hi ' },
    { type: 'text', text: 'you' },
  ];
  const both = [user(parts), { role: 'assistant', content: 'Yes' } as const];
  it.each([
    ['{% for m in messages %}[{{ m.content }}]{% endfor %}', '[Hi you][Yes]'],
    ['{% for m in messages %}{{ "[" + m["content"] | trim + "]" }}{% endfor %}', '[Hi you][Yes]'],
    [
      '{% for m in messages %}{{ m.content.split(" ")[-1] }}{{ m.content.startswith("H") }}{% endfor %}',
      'youTrueYesFalse',
    ],
    ['{% for m in messages %}{% if m.content is string %}{{ m.content | upper }}{% endif %}{% endfor %}', 'HI YOUYES'],
    [
      '{% for m in messages %}{% if m.content is string %}S{{ m.content }}{% else %}{% for c in m.content %}<{{ c.text }}>{% endfor %}{% endif %}{% endfor %}',
      '<Hi ><you>SYes',
    ],
    [
      '{% for m in messages %}{% if m.content is iterable and m.content is not string %}{{ m.content | map(attribute="text") | join("+") }}{% else %}{{ m.content }}{% endif %}{% endfor %}',
      'Hi +youYes',
    ],
    ['{{ messages[0].content[0].text }}{{ messages[0].content | length }}', 'Hi 2'],
    ['{{ messages[0].content | selectattr("type", "equalto", "text") | list | length }}', '2'],
    ['{{ messages[0].content | tojson }}', '"Hi you"'],
    ['{{ messages[0].content | list | tojson }}', '[{"type": "text", "text": "Hi "}, {"type": "text", "text": "you"}]'],
    ['{{ "you" in messages[0].content }}{{ messages[0].content == "Hi you" }}', 'TrueTrue'],
  ])('content in parts as text or as parts, whichever it takes: %s', (template, text) => {
    expect(render(template, both)).toBe(text);
  });

  it('parts in some messages and text in others, where the template is of two minds', () => {
    const template =
      '{% set s = messages[0].content | trim %}{{ s }}{% for m in messages[1:] %}{% for c in m.content %}<{{ c.text }}>{% endfor %}{% endfor %}';
    const system = { role: 'system', content: parts } as const;
    expect(render(template, [system, user(parts)])).toBe('Hi you<Hi ><you>');
  });

  it('a last message in parts left open', () => {
    const template = '{% for m in messages %}[{{ m.content }}]{% endfor %}';
    expect(render(template, [user(parts)], { continueFinalMessage: true })).toBe('[Hi you');
  });

  it('roles and keys that it names itself', () => {
    const template = '{% for m in messages %}{% if m.role == "observation" %}{{ m.tool_plan }}{% endif %}{% endfor %}';
    const message = { role: 'observation', tool_plan: 'x' } as unknown as ChatMessage;
    expect(render(template, [message])).toBe('x');
    expect(errorOf([message], { template: '{{ messages[0].role }}' }).message).toContain('got "observation"');
  });

  it('no role and no key that TypeScript does not know', () => {
    // @ts-expect-error: a role that nobody has
    const role: ChatMessage = { role: 'usr', content: 'hi' };
    // @ts-expect-error: a key that nobody reads
    const key: ChatMessage = { role: 'user', contents: 'hi' };
    for (const message of [role, key]) expect(() => bundled().encodeChat([message])).toThrow('messages[0]');
  });

  it('nothing of what is null, as in transformers', () => {
    const message = { role: 'assistant', content: null, tool_calls: null, refusal: null } as const;
    expect(render('{{ messages[0] }}', [message])).toBe("{'role': 'assistant'}");
  });

  it('reasoning under both of its names', () => {
    const message = { role: 'assistant', content: 'x', reasoning: 'because' } as const;
    expect(render('{{ messages[0].reasoning_content }} {{ messages[0].thinking }}', [message])).toBe('because because');
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
    [
      'an image where the template takes text',
      [user([{ type: 'text', text: 'x' }, { type: 'image' }])],
      'messages[0].content[1]: expected text, which is all that the chat template takes, got {"type":"image"}',
    ],
    ['a part that is none', [user(['x'])], 'messages[0].content[0]: expected a part such as'],
    [
      'a part of text without text',
      [user([{ type: 'text', content: 'x' }])],
      'messages[0].content[0]: expected a part such as',
    ],
    [
      'a role that nobody knows',
      [{ role: 'usr', content: 'hi' }],
      'messages[0].role: expected system, developer, user, assistant, tool, function, ipython, model or a role that the chat template names, got "usr"',
    ],
    [
      'a key that nobody reads',
      [{ role: 'user', contents: 'hi' }],
      'messages[0]: expected role, content, name, tool_calls, tool_call_id, reasoning_content or a key that the chat template reads, got "contents"',
    ],
    ['no content where the template needs it', [{ role: 'user' }], "'dict object' has no attribute 'content'"],
    ['null content', [user(null)], "'dict object' has no attribute 'content'"],
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
