// A run in a process of its own, to be killed: `node run-child.mjs CONFIG.yaml`. Prints a line an event.
import { readRunConfig, runTraining } from '../../dist/index.js';

const config = await readRunConfig(process.argv[2]);
await runTraining(config, {
  onEvent: (event) => process.stdout.write(`${event.kind} ${event.metrics?.step ?? ''}\n`),
});
