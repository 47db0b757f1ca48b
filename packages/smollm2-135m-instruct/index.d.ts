/** The folder of the model's files (a GGUF in parts, generation_config.json), ending in `/`. In a bundle it is not there: see `modelUrls`. */
export declare const modelUrl: URL;

/** Where each file that loading needs lies, in a bundle too: `loadModel({ urls: modelUrls() })`. */
export declare const modelUrls: () => Readonly<Record<string, URL>>;
