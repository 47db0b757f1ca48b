// Where the model's files lie: `file:` in Node, `http(s):` when served to a browser, wherever a bundler puts them.
// A script has no address of its own; there `modelUrls` throws, and the import does not.
const here = import.meta.url ?? 'http://script.invalid/';

export const modelUrl = /* @__PURE__ */ new URL('./model/', here);

// Each file written out: bundlers copy what stands in such an expression, and nothing that a program puts together.
export const modelUrls = () => ({
  'config.json': new URL('./model/config.json', import.meta.url),
  'generation_config.json': new URL('./model/generation_config.json', import.meta.url),
  'model.safetensors': new URL('./model/model.safetensors', import.meta.url),
  'tokenizer.json': new URL('./model/tokenizer.json', import.meta.url),
  'tokenizer_config.json': new URL('./model/tokenizer_config.json', import.meta.url),
});
