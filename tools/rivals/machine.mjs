// The machine and the checkout that numbers belong to.
import { execFileSync } from 'node:child_process';
import { arch, availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os';
import { root } from './relufy-packages.mjs';

export function describeMachine() {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()}-${arch()} ${release()}`,
    node: process.version,
    load: Number(loadavg()[0].toFixed(2)),
  };
}

/** @param {ReturnType<typeof describeMachine>} machine */
export const fileNameOf = ({ date, cpu, cores }) =>
  `${date}-${cpu.replace(/\((R|TM)\)|@.*|\bCPU\b/gi, '')} ${cores} cores`
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '');

function commit() {
  try {
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
  } catch {
    return 'none';
  }
}
