// Where the model's files lie, as a URL: `file:` in Node, `http(s):` when served to a browser.
export const modelUrl = new URL('./model/', import.meta.url);
