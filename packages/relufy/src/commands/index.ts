// The subcommands: what `relufy --help` says of each, and where the rest of it lies. Only the one that runs is imported.
import type { Command } from 'commander';

/**
 * What a subcommand's file exports: it adds arguments, options, help and action to its own Command; `prepare` makes one that
 * it adds behave as all do.
 */
export interface Subcommand {
  readonly define: (command: Command, prepare: (command: Command) => Command) => void;
}

export interface SubcommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Subcommand>;
}

export const subcommands: readonly SubcommandEntry[] = [
  { name: 'chat', summary: 'chat with a model in the terminal', load: () => import('./chat.js') },
  { name: 'generate', summary: 'continue a prompt, or answer messages', load: () => import('./generate.js') },
  {
    name: 'serve',
    summary: 'serve models to clients of OpenAI, Ollama or llama-server',
    load: () => import('./serve.js'),
  },
  { name: 'inspect', summary: "show a model's spec, memory, sparsity and program", load: () => import('./inspect.js') },
  { name: 'models', summary: 'list public models that are sparse as they are', load: () => import('./models.js') },
  { name: 'convert', summary: 'write a model in another format', load: () => import('./convert.js') },
  { name: 'bench', summary: 'measure what this machine does, dense against sparse', load: () => import('./bench.js') },
  { name: 'eval', summary: 'score a model on tasks, as lm-evaluation-harness does', load: () => import('./eval.js') },
  { name: 'measure', summary: "measure what a model's neurons do over a text", load: () => import('./measure.js') },
  { name: 'calibrate', summary: 'choose weights to skip, from a text', load: () => import('./calibrate.js') },
  { name: 'predictor', summary: 'fit, import and judge predictors of neurons', load: () => import('./predictor.js') },
  { name: 'relufy', summary: 'turn a model into a ReLU model', load: () => import('./relufy.js') },
  { name: 'train', summary: 'train or fine-tune a model', load: () => import('./train.js') },
];
