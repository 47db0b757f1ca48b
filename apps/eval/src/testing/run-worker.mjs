// A worker for a test to kill: node run-worker.mjs URL NAME FOLDER. Its jobs are run-evaluation.mjs.
import { fileURLToPath } from 'node:url';
import { jobProcess, workForQueue } from '@relufy/eval';

const [url, name, folder] = process.argv.slice(2);
const script = fileURLToPath(new URL('run-evaluation.mjs', import.meta.url));
const runner = jobProcess([process.execPath, script], folder);
await workForQueue({ url, name, leaseMs: 1000 }, runner, { signal: new AbortController().signal });
