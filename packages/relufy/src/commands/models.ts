// `relufy models`: public checkpoints that are sparse as they are, how sparse, and what that is worth in bytes; with
// --chat small ones to chat with. Does not own the data (sparse-models.ts, chat-models.ts) nor the first table
// (models-page.ts).
import type { Command } from 'commander';
import { chatModelRows, chatModelsTable } from '../chat-models.js';
import { modelsTable, sparseModelRows } from '../models-page.js';
import { print, printJson } from '../output.js';

const examples = `
Examples:
  $ relufy models
  $ relufy models --chat
  $ relufy models --json | jq '.[] | select(.evidence == "cited") | .id'
  $ relufy chat --model arcee-ai/AFM-4.5B --dtype int8`;

export function define(command: Command): void {
  command
    .option('--chat', 'small models to chat with, and what they take')
    .option('--json', 'print JSON, with the sources of every number')
    .addHelpText('after', examples)
    .action(models);
}

function models(values: { readonly json?: true; readonly chat?: true }): void {
  if (values.chat) {
    process.stdout.write(`${values.json ? JSON.stringify(chatModelRows(), null, 2) : chatModelsTable()}\n`);
    return;
  }
  const rows = sparseModelRows().map(({ model, down, assumed, int8, int4 }) => ({
    ...model,
    activeShare: down,
    assumed,
    bytesPerToken: { int8, int4 },
  }));
  if (values.json) printJson(rows);
  else print(modelsTable());
}
