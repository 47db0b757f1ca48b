// A run in a process of its own, to be killed: `node run-child.mjs CONFIG.yaml BACKEND`. Prints a line an event.
import { createBackend } from '@relufy/models';
import { readRunConfig, runTraining } from '../../dist/index.js';

const config = await readRunConfig(process.argv[2]);
const { backend } = await createBackend({ backend: process.argv[3] });
await runTraining(config, {
  backend,
  onEvent: (event) => process.stdout.write(`${event.kind} ${event.metrics?.step ?? ''}\n`),
});
await backend.dispose();
