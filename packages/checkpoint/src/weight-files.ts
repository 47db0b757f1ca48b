// The names under which a folder keeps its weights, the preferred first; a GGUF may have any name and comes last.
// Owns: the names, since opening, downloading and describing must agree on them. Does not own: the formats.

export const weightFiles = ['model.safetensors', 'pytorch_model.bin'] as const;

export const indexOf = (file: string): string => `${file}.index.json`;

/** All names of weights that are no GGUF. */
export const weightNames: readonly string[] = weightFiles.flatMap((file) => [indexOf(file), file]);
