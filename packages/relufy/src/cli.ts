#!/usr/bin/env node
// The command `relufy`: finds the subcommand, imports that one alone, and turns its end into an exit code.
// Does not own what a subcommand does (commands/) or how an error reads (failure.ts).
import { run } from './run.js';

await run(process.argv.slice(2));
