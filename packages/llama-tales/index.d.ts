/** The folder of the model's files (Hugging Face layout), ending in `/`. */
export declare const modelUrl: URL;
