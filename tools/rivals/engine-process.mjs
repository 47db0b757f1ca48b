// The process of one engine: loads it, takes its first token, then answers one call after the other.
// Owns: the times that only this process can see (its start, its load) and its peak memory.
import { performance } from 'node:perf_hooks';
import { openEngine } from './engines/engine.mjs';

const { spec, firstPrompt } = JSON.parse(process.argv[2]);

const send = (message) => process.send(message, undefined, undefined, (error) => error && process.exit(1));

process.on('disconnect', () => process.exit(0));

try {
  const begin = performance.now();
  const engine = await openEngine(spec);
  const loadMs = engine.loadMs ?? performance.now() - begin;
  if (firstPrompt) await engine.prefill(firstPrompt);
  const startMs = performance.now(); // since the process began
  send({ ready: { loadMs, startMs, description: engine.description, facts: engine.facts } });
  let turn = Promise.resolve();
  process.on('message', ({ id, call, args }) => {
    turn = turn
      .then(async () => {
        if (call === 'peakBytes' && !engine.peakBytes) return process.resourceUsage().maxRSS * 1024;
        if (typeof engine[call] !== 'function') throw new Error(`${spec.adapter}: cannot ${call}`);
        return engine[call](...args);
      })
      .then(
        (result) => send({ id, result }),
        (error) => send({ id, error: error.message }),
      );
  });
} catch (error) {
  send({ failed: error.message });
  process.disconnect();
}
