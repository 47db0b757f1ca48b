// One job as a process of its own: `relufy eval ... --out FOLDER --resume`, which goes on where a killed one stopped.
// Owns starting, waiting and what its end means. Does not own which jobs there are.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { folderHolder, readNamedFileIfThere } from '@relufy/checkpoint/node';
import { RelufyError } from '@relufy/tensor';
import { mostRunBytes, readRun } from '../result-files.js';
import { type JobFiles, type JobRunner, WorkerLost } from './job-queue.js';

/** What a finished job's folder holds; results.json comes last. */
const jobFiles = ['scores.json', 'table.md', 'results.csv', 'report.html', 'results.json'] as const;

/** Undefined where they are not there, or damaged: then the job runs again, from its log. */
export async function finishedFiles(folder: string): Promise<JobFiles | undefined> {
  try {
    await readRun(folder);
  } catch {
    return undefined;
  }
  const files: [name: string, text: string][] = [];
  for (const name of jobFiles) {
    const bytes = await readNamedFileIfThere(join(folder, name), { limitBytes: mostRunBytes, onlyFiles: true });
    if (bytes !== undefined) files.push([name, new TextDecoder().decode(bytes)]);
  }
  return Object.fromEntries(files);
}

/** `command`: what runs `relufy eval`; arguments are added. `folder`: jobs get folders in it. */
export function jobProcess(command: readonly string[], folder: string): JobRunner {
  const [program, ...before] = command as [string, ...string[]];
  return async (job, signal) => {
    const out = join(folder, job.id);
    mkdirSync(out, { recursive: true });
    // the worker of a coordinator that was killed may still be at it
    while ((await folderHolder(out)) !== undefined) await new Promise((resolve) => setTimeout(resolve, 200));
    const finished = await finishedFiles(out);
    if (finished) return finished;
    const child = spawn(program, [...before, ...job.args, '--out', out, '--resume'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2000);
    });
    try {
      const end = await new Promise<number | NodeJS.Signals>((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code, name) => resolve(name ?? code ?? 1));
      });
      signal.throwIfAborted();
      if (typeof end === 'string') throw new WorkerLost(`${job.id}: its process was ended by ${end}`);
      const files = await finishedFiles(out);
      if (end !== 0 || files === undefined)
        throw new RelufyError('state', `${job.id}: ${said.trim().split('\n').at(-1) || `exit code ${end}`}`);
      return files;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  };
}
