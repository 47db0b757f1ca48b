// A limit on the memory of processes, page cache included: a control group of our own below that of this process, where the
// system lets us make one (as root, or in a delegated group). Versions 1 and 2. Owns the group.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export class MemoryLimit {
  #group;
  #parent;
  #limitFile;

  /** @throws Error with the reason where no group can be made. */
  constructor(name = `relufy-${process.pid}`) {
    const lines = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
    const v1 = lines.find((line) => line.split(':')[1]?.split(',').includes('memory'));
    const [root, path, file] = v1
      ? ['/sys/fs/cgroup/memory', v1.split(':')[2], 'memory.limit_in_bytes']
      : ['/sys/fs/cgroup', lines.find((line) => line.startsWith('0::'))?.slice(3) ?? '/', 'memory.max'];
    this.#parent = existsSync(join(root, path)) ? join(root, path) : root;
    this.#group = join(this.#parent, name);
    this.#limitFile = join(this.#group, file);
    mkdirSync(this.#group);
    if (!existsSync(this.#limitFile)) {
      rmdirSync(this.#group);
      throw new Error(`no ${file} in a group below ${this.#parent}`);
    }
  }

  /** @param {number} bytes */
  set(bytes) {
    writeFileSync(this.#limitFile, String(bytes));
  }

  /** Processes that are started meanwhile belong to the group. @template T @param {() => Promise<T>} start @returns {Promise<T>} */
  async within(start) {
    writeFileSync(join(this.#group, 'cgroup.procs'), String(process.pid));
    try {
      return await start();
    } finally {
      writeFileSync(join(this.#parent, 'cgroup.procs'), String(process.pid));
    }
  }

  /** The most that the group has held, in bytes; undefined where it is not told. */
  get peak() {
    const file = ['memory.max_usage_in_bytes', 'memory.peak'].map((name) => join(this.#group, name)).find(existsSync);
    return file && Number(readFileSync(file, 'utf8'));
  }

  remove() {
    rmdirSync(this.#group);
  }
}

/** Takes files out of the system's cache, as root. */
export function dropCaches() {
  try {
    writeFileSync('/proc/sys/vm/drop_caches', '1');
  } catch {
    // without: the first tokens find some of the file in memory
  }
}
