// The other end of an engine's process: starts it, calls it, reads how much processor time it took, ends it.
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export class EngineClient {
  #child;
  #calls = new Map();
  #nextId = 0;
  #exited;

  /** @param {import('./engines/engine.mjs').EngineSpec} spec @param {number[]} [firstPrompt] */
  static async start(spec, firstPrompt) {
    const client = new EngineClient();
    await client.#start(spec, firstPrompt);
    return client;
  }

  async #start(spec, firstPrompt) {
    const program = join(spec.checkout ?? import.meta.dirname, 'engine-process.mjs');
    const child = fork(program, [JSON.stringify({ spec, firstPrompt })], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    const ready = new Promise((resolve, reject) => {
      child.on('message', (message) => {
        if (message.ready) resolve(message.ready);
        else if (message.failed !== undefined) reject(new Error(message.failed));
        else this.#settle(message);
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        const error = new Error(`the engine's process ended (${signal ?? code})`);
        reject(error);
        for (const call of this.#calls.values()) call.reject(error);
        this.#calls.clear();
      });
    });
    /** @type {{ loadMs: number, startMs: number, description: string, facts: Record<string, unknown> }} */
    this.info = await ready;
  }

  #settle({ id, result, error }) {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error));
  }

  /** @param {string} call a method of Engine, or peakBytes @param {...unknown} args @returns {Promise<any>} */
  call(call, ...args) {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#calls.set(id, { resolve, reject });
      this.#child.send({ id, call, args });
    });
  }

  /** Processor time so far, in seconds; undefined where /proc is not there. */
  cpuSeconds() {
    return cpuSecondsOf(this.#child.pid);
  }

  async stop() {
    if (this.#child.connected) this.#child.disconnect();
    await this.#exited;
  }
}

const ticksPerSecond = 100;

/** @param {number | 'self' | undefined} pid */
export function cpuSecondsOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
  } catch {
    return undefined;
  }
}

/** Processor time that all processes of the machine took, in seconds. */
export function machineCpuSeconds() {
  try {
    const [user, nice, system, , , irq, softirq] = readFileSync('/proc/stat', 'utf8')
      .split('\n')[0]
      .trim()
      .split(/\s+/)
      .slice(1)
      .map(Number);
    return (user + nice + system + irq + softirq) / ticksPerSecond;
  } catch {
    return undefined;
  }
}
