// PowerInfer through its command `main`: a process a measurement, times read from the timings that it prints.
// It takes text, not ids: prompts are letters, each of which is one token of the synthetic vocabulary, and it decodes its
// own greedy text. Load time is its own too; nothing of that is counted as prefill or decoding.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** `<s>` and the space that begins a text, which is three byte tokens. */
const addedTokens = 4;

/** @param {import('./engine.mjs').EngineSpec} spec @returns {Promise<import('./engine.mjs').Engine>} */
export async function open({ binary, model, threads, contextLength }) {
  let peakBytes = 0;
  const run = async (promptTokens, decode) => {
    const prompt = 'a'.repeat(Math.max(1, promptTokens - addedTokens));
    const args = ['-m', model, '-t', threads, '-c', contextLength, '-n', decode, '-p', prompt];
    const child = spawn(binary, [...args, '--temp', 0, '--ignore-eos'].map(String), {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const watch = setInterval(() => {
      peakBytes = Math.max(peakBytes, peakOf(child.pid));
    }, 100);
    let text = '';
    child.stderr.on('data', (piece) => {
      text += piece;
    });
    const code = await new Promise((resolve, reject) => child.once('close', resolve).once('error', reject));
    clearInterval(watch);
    const timing = (name) => new RegExp(`\\b${name} =\\s*([\\d.]+) ms(?: /\\s*(\\d+))?`).exec(text);
    const [prefill, evaluated, load] = [
      timing('prompt eval time'),
      timing('(?<!prompt )eval time'),
      timing('load time'),
    ];
    if (code !== 0 || !prefill || !load)
      throw new Error(`PowerInfer ended with ${code}: ${text.trim().split('\n').at(-1)}`);
    return {
      loadMs: Number(load[1]),
      prefillMs: Number(prefill[1]) / Number(prefill[2]),
      decodeMs: evaluated ? Number(evaluated[1]) / Number(evaluated[2]) : undefined,
    };
  };
  const { loadMs } = await run(16, 2);
  return {
    description: `PowerInfer: CPU, ${threads} threads`,
    loadMs,
    facts: { predictor: 'exact, made for these weights' },
    prefill: async (ids) => ({ ms: (await run(ids.length, 2)).prefillMs * ids.length }),
    decode: async (prompt, ids) => ({ ms: (await run(prompt.length, ids.length + 1)).decodeMs * ids.length }),
    peakBytes: async () => peakBytes,
    close: async () => {},
  };
}

function peakOf(pid) {
  try {
    return 1024 * Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}
