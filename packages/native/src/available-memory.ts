// How much memory a session may ask for. The system would promise more and kill the process later.
import { readFileSync } from 'node:fs';
import os from 'node:os';

/** Bytes that can be had now: what the system calls available, within the limit that the process is held to. */
export function availableMemory(): number {
  const constrained = process.constrainedMemory() ?? 0;
  const limit = constrained > 0 ? Math.min(constrained, os.totalmem()) : os.totalmem();
  return Math.min(limit, process.platform === 'linux' ? (availableOnLinux() ?? limit) : limit);
}

function availableOnLinux(): number | undefined {
  try {
    const text = readFileSync('/proc/meminfo', 'utf8');
    const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+) kB`, 'm').exec(text)?.[1]);
    const bytes = (kibibytes('MemAvailable') + kibibytes('SwapFree')) * 1024;
    return Number.isFinite(bytes) ? bytes : undefined;
  } catch {
    return undefined;
  }
}
