// How many physical cores this process may use: the default number of threads.
import { readFileSync } from 'node:fs';
import os from 'node:os';

export function physicalCores(): number {
  const share = process.platform === 'linux' ? coresPerProcessor(readText('/proc/cpuinfo')) : 1;
  return Math.max(1, Math.ceil(os.availableParallelism() * share));
}

/** Physical cores / logical processors, from the text of /proc/cpuinfo; 1 where it does not say. */
export function coresPerProcessor(cpuinfo: string): number {
  const processors = cpuinfo.split(/\n\s*\n/).filter((block) => /^processor\s*:/m.test(block));
  const field = (block: string, name: string) => new RegExp(`^${name}\\s*:\\s*(\\d+)`, 'm').exec(block)?.[1];
  const cores = new Set<string>();
  for (const block of processors) {
    const core = field(block, 'core id');
    if (core === undefined) return 1;
    cores.add(`${field(block, 'physical id')}/${core}`);
  }
  return cores.size > 0 ? cores.size / processors.length : 1;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
