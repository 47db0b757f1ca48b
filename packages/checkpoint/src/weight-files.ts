// The names under which a folder keeps its weights, the preferred first (a GGUF may have any name and comes last), and
// what describes them.
// Owns: the names, since opening, downloading and describing must agree on them. Does not own: the formats.

export const weightFiles = ['model.safetensors', 'pytorch_model.bin'] as const;

export const indexOf = (file: string): string => `${file}.index.json`;

/** All names of weights that are no GGUF. */
export const weightNames: readonly string[] = weightFiles.flatMap((file) => [file, indexOf(file)]);

/** The numbers of a sparsity plan, and what describes them: beside a model or alone. */
export const planWeightsFile = 'sparsity_model.safetensors';
export const planFiles: readonly string[] = ['sparsity_config.json', planWeightsFile];

/** What belongs to a model besides its weights. */
export const descriptionFiles: readonly string[] = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'chat_template.jinja',
  'chat_template.json',
];
