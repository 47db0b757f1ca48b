// Runs a group: starts its engines, checks that sparse answers are the dense ones bit for bit, then interleaves all
// on the same prompts, round after round, so that a busy moment of the machine hits all of them alike.
// An engine that cannot start, or answers differently, is left out with the reason. Owns the samples.
import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuSecondsOf, EngineClient, machineCpuSeconds } from './engine-client.mjs';
import { backends } from './plan.mjs';
import { median } from './statistics.mjs';

/**
 * @typedef {object} Sizes
 * @property {number} rounds
 * @property {number} warmups
 * @property {number} prefill tokens of the long prompt
 * @property {number} decode tokens decoded behind the short prompt
 * @property {number} starts how often an engine is started, where that takes less than `slowStartMs`
 *
 * @typedef {object} Samples one entry a round
 * @property {number[]} first ms from a prompt of 16 tokens to the first token
 * @property {number[]} prefill tokens/s
 * @property {number[]} decode tokens/s
 * @property {number[]} tokenMs of every decoded token, over all rounds
 * @property {number[]} bandwidth fraction of the peak read bandwidth measured in the same round
 *
 * @typedef {object} Result
 * @property {string} name
 * @property {string} description
 * @property {Record<string, unknown>} facts
 * @property {Samples} samples
 * @property {number} loadMs
 * @property {number} startMs from the start of the process to the first token of a 16-token prompt
 * @property {number} peakBytes resident memory
 * @property {number} [bytesPerToken]
 * @property {number[]} [density] per layer
 * @property {string} [checked] what was found equal
 * @property {number} [idleCpu] processors in use while others had their turn; a busy idler spoils the rest
 *
 * @typedef {object} GroupResult
 * @property {import('./plan.mjs').Group} group
 * @property {Result[]} results
 * @property {{ name: string, reason: string }[]} left out
 * @property {Record<string, number[]>} streaming backend -> GB/s, one a round
 * @property {number} [otherCpu] share of the machine that other processes used
 */

const firstPromptLength = 16;
const slowStartMs = 15_000;
/** A busy loop, which ends with the harness, however that ends. */
const loopOf = (pid) =>
  `for (;;) { try { process.kill(${pid}, 0); } catch { break; } const end = Date.now() + 1000; while (Date.now() < end); }`;
/** Threads that spin for a while after their work go to sleep. */
const settleMs = 100;

const log = (/** @type {string} */ line) => process.stderr.write(`${line}\n`);

/** @param {import('./plan.mjs').Group} group @param {Sizes} sizes @returns {Promise<GroupResult>} */
export async function runGroup(group, sizes) {
  log(`\n${group.title}`);
  /** @type {GroupResult} */
  const outcome = { group, results: [], left: [], streaming: {} };
  /** @type {{ client: EngineClient, result: Result, cpuBefore: number, ownCpu: number, ownMs: number }[]} */
  const players = [];
  const streams = new Map();
  const loops = [];
  try {
    for (const contender of group.contenders) {
      try {
        const player = await enter(contender, group, sizes);
        players.push(player);
        outcome.results.push(player.result);
        log(`  ${contender.name}: ${player.result.description}`);
      } catch (error) {
        outcome.left.push({ name: contender.name, reason: error.message });
        log(`  ${contender.name}: left out: ${error.message}`);
      }
    }
    const { threads, contextLength } = group.contenders[0].spec;
    for (const backend of backends) {
      const spec = { adapter: 'stream', model: '', backend, threads, contextLength };
      const stream = await EngineClient.start(spec).catch(() => undefined);
      if (stream) streams.set(backend, stream);
      if (stream) outcome.streaming[backend] = [];
    }
    for (let i = 0; i < (group.loops ?? 0); i++)
      loops.push(spawn(process.execPath, ['-e', loopOf(process.pid)], { stdio: 'ignore' }));
    await takeTurns(outcome, players, streams, loops, sizes);
    for (const { client, result } of players) result.peakBytes = await client.call('peakBytes');
    return outcome;
  } finally {
    for (const loop of loops) loop.kill();
    for (const client of [...players.map(({ client }) => client), ...streams.values()]) await client.stop();
  }
}

async function enter({ name, spec }, group, sizes) {
  const random = idsOf(group, 1);
  const prompt = random(firstPromptLength);
  const infos = [];
  let client;
  do {
    await client?.stop();
    client = await EngineClient.start(spec, prompt);
    infos.push(client.info);
  } while (infos.length < sizes.starts && client.info.startMs < slowStartMs);
  try {
    const warm = infos.length > 1 ? infos.slice(1) : infos;
    const { description, facts } = client.info;
    const checked = spec.sparsity === 'exact' ? await checkAgainstDense(client, spec, prompt, random(8)) : undefined;
    const samples = { first: [], prefill: [], decode: [], tokenMs: [], bandwidth: [] };
    const [loadMs, startMs] = [median(warm.map((info) => info.loadMs)), median(warm.map((info) => info.startMs))];
    const result = { name, description, facts, samples, loadMs, startMs, peakBytes: 0, ...(checked && { checked }) };
    return { client, result, spec, cpuBefore: 0, ownCpu: 0, ownMs: 0 };
  } catch (error) {
    await client.stop();
    throw error;
  }
}

/** The same weights and activation, all of them read. */
async function checkAgainstDense(client, spec, prompt, ids) {
  const twin = await EngineClient.start({ ...spec, sparsity: 'dense' });
  try {
    const [sparse, dense] = [await client.call('digest', prompt, ids), await twin.call('digest', prompt, ids)];
    if (sparse !== dense) throw new Error('sparse and dense answers differ in their bits: not counted');
    const overlap = await client.call('overlap', [...prompt, ...ids]);
    const mean = overlap.reduce((sum, share) => sum + share, 0) / overlap.length;
    return `equals dense bit for bit; a token shares ${mean.toFixed(2)} times as many neurons with the one before as chance would`;
  } finally {
    await twin.stop();
  }
}

async function takeTurns(outcome, players, streams, loops, sizes) {
  const { group } = outcome;
  const machineBefore = machineCpuSeconds();
  for (const player of players) player.cpuBefore = player.client.cpuSeconds();
  const [begin, ownBefore, streamsBefore] = [performance.now(), cpuSecondsOf('self'), sumCpu(streams.values())];
  const loopSeconds = () => loops.reduce((sum, { pid }) => sum + (cpuSecondsOf(pid) ?? 0), 0);
  const loopsBefore = loopSeconds();
  for (let round = -sizes.warmups; round < sizes.rounds; round++) {
    const random = idsOf(group, 1000 + round);
    const [short, long, fed] = [random(firstPromptLength), random(sizes.prefill), random(sizes.decode)];
    for (const [backend, stream] of streams) {
      const gigabytes = await stream.call('bandwidth');
      if (round >= 0) outcome.streaming[backend].push(gigabytes);
    }
    for (const player of round % 2 === 0 ? [...players] : [...players].reverse()) {
      await sleep(settleMs);
      await takeTurn(player, outcome, { round, short, long, fed }).catch(async (error) => {
        log(`  ${player.result.name}: left out: ${error.message}`);
        outcome.left.push({ name: player.result.name, reason: error.message });
        outcome.results.splice(outcome.results.indexOf(player.result), 1);
        players.splice(players.indexOf(player), 1);
        await player.client.stop();
      });
    }
    log(`  round ${round < 0 ? 'of warm-up' : `${round + 1} of ${sizes.rounds}`}`);
  }
  const seconds = (performance.now() - begin) / 1000;
  for (const { client, result, cpuBefore, ownCpu, ownMs } of players) {
    const idle = (client.cpuSeconds() - cpuBefore - ownCpu) / (seconds - ownMs / 1000);
    if (Number.isFinite(idle)) result.idleCpu = idle;
  }
  const ours =
    players.reduce((sum, { client, cpuBefore }) => sum + client.cpuSeconds() - cpuBefore, 0) +
    (sumCpu(streams.values()) - streamsBefore) +
    (loopSeconds() - loopsBefore) +
    (cpuSecondsOf('self') - ownBefore);
  const others = (machineCpuSeconds() - machineBefore - ours) / (seconds * availableParallelism());
  if (Number.isFinite(others)) outcome.otherCpu = Math.max(0, others);
}

async function takeTurn(player, { group, streaming }, { round, short, long, fed }) {
  const { client, result, spec } = player;
  const [cpu, begin] = [client.cpuSeconds(), performance.now()];
  const ask = (measure, ...args) => (group.measures.includes(measure) ? client.call(...args) : undefined);
  const first = await ask('first', 'prefill', short);
  const prefill = await ask('prefill', 'prefill', long);
  const decode = await ask('decode', 'decode', short, fed);
  await sleep(settleMs / 2); // what it spins on after its work counts as its own
  player.ownMs += performance.now() - begin;
  player.ownCpu += client.cpuSeconds() - cpu;
  if (round < 0) return;
  const { samples } = result;
  if (first) samples.first.push(first.ms);
  if (prefill) samples.prefill.push((long.length * 1000) / prefill.ms);
  if (!decode) return;
  samples.decode.push((fed.length * 1000) / decode.ms);
  samples.tokenMs.push(...(decode.tokenMs ?? []));
  result.bytesPerToken = mean(result.bytesPerToken, decode.bytesPerToken, round);
  if (decode.density)
    result.density = decode.density.map((share, layer) => mean(result.density?.[layer], share, round));
  const stream = (streaming[spec.backend ?? 'native'] ?? streaming.wasm)?.at(-1);
  if (stream && decode.bytesPerToken)
    samples.bandwidth.push((decode.bytesPerToken * fed.length) / decode.ms / 1e6 / stream);
}

const mean = (before, value, count) => (before === undefined ? value : (before * count + value) / (count + 1));

const sumCpu = (clients) => [...clients].reduce((sum, client) => sum + client.cpuSeconds(), 0);

/** Token ids, the same for all engines of a round and others in every round. */
function idsOf({ ids: [low, high] }, seed) {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x1234567) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return low + ((state >>> 0) % (high - low));
  };
  return (count) => Array.from({ length: count }, next);
}
