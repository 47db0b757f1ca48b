// Where the model's files lie: `file:` in Node, `http(s):` when served to a browser, wherever a bundler puts them.
// A script has no address of its own; there `modelUrls` throws, and the import does not.
const here = import.meta.url ?? 'http://script.invalid/';

export const modelUrl = /* @__PURE__ */ new URL('./model/', here);

// Each file written out: bundlers copy what stands in such an expression, and nothing that a program puts together.
export const modelUrls = () => ({
  'chat_template.jinja': new URL('./model/chat_template.jinja', import.meta.url),
  'generation_config.json': new URL('./model/generation_config.json', import.meta.url),
  'smollm2-135m-instruct-q4_1-00001-of-00003.gguf': new URL(
    './model/smollm2-135m-instruct-q4_1-00001-of-00003.gguf',
    import.meta.url,
  ),
  'smollm2-135m-instruct-q4_1-00002-of-00003.gguf': new URL(
    './model/smollm2-135m-instruct-q4_1-00002-of-00003.gguf',
    import.meta.url,
  ),
  'smollm2-135m-instruct-q4_1-00003-of-00003.gguf': new URL(
    './model/smollm2-135m-instruct-q4_1-00003-of-00003.gguf',
    import.meta.url,
  ),
});
