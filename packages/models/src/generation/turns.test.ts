// Who shares a model: interleaved conversations, a reader too many, and a model that is disposed in the middle of work.
import { fileURLToPath } from 'node:url';
import { createReferenceBackend } from '@relufy/tensor';
import { describe, expect, it, vi } from 'vitest';
import { type ChatMessage, loadModel, type Model } from '../node.js';
import { ParkedSlots } from '../running/parked-slots.js';
import { keyValueLayout } from '../running/slot-layout.js';

const bundled = fileURLToPath(new URL('../../../llama-tales/model/', import.meta.url));
const greedy = { maxNewTokens: 20, temperature: 0, stopTokenIds: [] };

/** A conversation that goes on by a turn at each call. */
function conversation(model: Model, subject: string) {
  const messages: ChatMessage[] = [{ role: 'user', content: `Tell me a story about ${subject}.` }];
  return async () => {
    const { text, usage, tokenIds } = await model.generate([...messages], greedy).result;
    messages.push({ role: 'assistant', content: text }, { role: 'user', content: 'And then?' });
    return { usage, tokenIds };
  };
}

describe('interleaved conversations', () => {
  it.each(['f32', 'f16'] as const)('find what the model computed for them before, in %s', async (kvCache) => {
    const alone: Awaited<ReturnType<ReturnType<typeof conversation>>>[][] = [];
    for (const subject of ['a fox', 'the sea', 'a red car']) {
      await using model = await loadModel(bundled, { kvCache });
      const next = conversation(model, subject);
      alone.push([await next(), await next(), await next()]);
    }
    await using model = await loadModel(bundled, { kvCache });
    const before = model.memoryBytes;
    const chats = ['a fox', 'the sea', 'a red car'].map((subject) => conversation(model, subject));
    for (let turn = 0; turn < 3; turn++)
      for (const [i, next] of chats.entries()) {
        const answer = await next();
        expect(answer.tokenIds).toEqual(alone[i]?.[turn]?.tokenIds);
        if (turn > 0) expect(answer).toEqual(alone[i]?.[turn]);
        if (turn > 0) expect(answer.usage.cachedTokens).toBeGreaterThan(24);
        // scoring in between takes the slot as well
        await model.score([1, 2, 3]);
      }
    expect(model.memoryBytes).toBeGreaterThan(before);
    expect(model.memoryBytes - before).toBeLessThan(8 << 20);
  });

  it('wait within the bytes that the caller gives, 0 of them included', async () => {
    for (const [waitingBytes, found] of [
      [0, false],
      [1 << 16, false],
      [4 << 20, true],
    ] as const) {
      await using model = await loadModel(bundled, { waitingBytes });
      const [fox, sea] = [conversation(model, 'a fox'), conversation(model, 'the sea')];
      await fox();
      const before = model.memoryBytes;
      await sea();
      const { usage } = await fox();
      expect(usage.cachedTokens > 24).toBe(found);
      expect(model.memoryBytes - before).toBeLessThanOrEqual(waitingBytes);
    }
  });

  it('do not copy back at every token what an answer says again', async () => {
    await using model = await loadModel(bundled);
    const first = await model.generate('Once upon a time', greedy).result;
    const restore = vi.spyOn(ParkedSlots.prototype, 'restore');
    const again = await model.generate('Once upon a time', greedy).result;
    expect(again.tokenIds).toEqual(first.tokenIds);
    expect(restore.mock.calls.length).toBeLessThanOrEqual(1);
    restore.mockRestore();
  });

  it('leave when memory ends, the least recently used first', async () => {
    const backend = createReferenceBackend();
    const cache = (name: string) => ({ name, kind: 'state' as const, dtype: 'f32' as const, shape: [1, 2, 8, 1] });
    const session = await backend.createSession([cache('kCache'), cache('vCache')], { maxRows: 1, maxOutputs: 1 });
    const bytes = (tokens: number) => tokens * 2 * 2 * 4;
    const parked = new ParkedSlots(keyValueLayout(2, 1, 8), bytes(7));
    const fill = (value: number) => {
      for (const name of ['kCache', 'vCache']) session.view(name).set(Array.from({ length: 16 }, (_, i) => value + i));
    };
    fill(100);
    await parked.park(session, 0, [1, 2, 3]);
    fill(200);
    await parked.park(session, 0, [4, 5, 6]);
    expect(parked.bytes).toBe(bytes(6));
    fill(300);
    await parked.park(session, 0, [7, 8]);
    expect(
      [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8],
      ].map((ids) => parked.longestPrefix(ids)),
    ).toEqual([0, 3, 2]);
    await parked.park(session, 0, [7]); // it is there already, in a longer one
    await parked.park(session, 0, [1, 2, 3, 4, 5, 6, 7, 8]); // more than memory allows at all
    expect(parked.bytes).toBe(bytes(5));
    fill(0);
    // another conversation that begins alike takes the beginning
    expect(await parked.restore(session, 0, [4, 5, 9])).toEqual([4, 5]);
    expect([...session.view('vCache')].slice(0, 3)).toEqual([200, 201, 2]);
    expect([...session.view('kCache')].slice(8, 12)).toEqual([208, 209, 10, 11]);
    expect(parked.bytes).toBe(bytes(5));
    expect(await parked.restore(session, 0, [4, 5, 6, 7])).toEqual([4, 5, 6]);
    expect([...session.view('kCache')].slice(8, 12)).toEqual([208, 209, 210, 11]);
    expect(parked.bytes).toBe(bytes(2));
    expect(await parked.restore(session, 0, [9])).toEqual([]);
    await session.dispose();
  });
});

describe('a stream', () => {
  it('has one reader', async () => {
    await using model = await loadModel(bundled);
    const stream = model.generate('Once', { ...greedy, maxNewTokens: 5 });
    const pieces: unknown[] = [];
    const readAll = async () => {
      for await (const piece of stream) pieces.push(piece);
    };
    const [first, second] = await Promise.allSettled([readAll(), readAll()]);
    expect(first.status).toBe('fulfilled');
    expect(second).toMatchObject({ status: 'rejected', reason: { code: 'state', message: /one reader/ } });
    await expect(readAll()).rejects.toThrowError(/expected one reader of its pieces, got a second/);
    expect(pieces).toHaveLength(5);
    expect((await stream.result).tokenIds).toHaveLength(5);
  });
});

describe('dispose', () => {
  const state = expect.objectContaining({ code: 'state' });

  it.each(['auto', 'wasm'] as const)('ends an answer within a step or two: %s', async (backend) => {
    const model = await loadModel(bundled, { backend });
    const stream = model.generate('Once upon a time', { ...greedy, maxNewTokens: 480 });
    const waiting = model.generate('Once', greedy);
    let n = 0;
    let disposed: Promise<void> | undefined;
    for await (const _ of stream) if (++n === 5) disposed = model.dispose();
    await disposed;
    expect(n).toBeLessThan(12);
    const result = await stream.result;
    expect(result).toMatchObject({ finishReason: 'abort' });
    expect(result.tokenIds).toHaveLength(n);
    await expect(waiting.result).rejects.toEqual(state);
    await expect(model.encode('x')).resolves.toBeDefined();
  });

  it('ends a prompt, scores and passes between steps, and both calls of it wait for the end', async () => {
    for (const work of [
      (model: Model) => model.generate(new Array(500).fill(5), greedy).result,
      (model: Model) => model.score(new Array(500).fill(5)),
      (model: Model) => model.forward(new Array(500).fill(5), { logits: 'all' }),
      (model: Model) => model.scoreContinuations(new Array(400).fill(5), [[1, 2], [3]]),
    ]) {
      const model = await loadModel(bundled, { backend: 'wasm', threads: 1 });
      const ended = work(model).then(
        (value) => value,
        (error: unknown) => error,
      );
      await new Promise((resolve) => setImmediate(resolve));
      let first = false;
      const both = [model.dispose().then(() => (first = true)), model.dispose()];
      await both[1];
      expect(first).toBe(true);
      const end = (await ended) as { finishReason?: string; tokenIds?: unknown; code?: string };
      if (end.finishReason) expect(end).toMatchObject({ finishReason: 'abort', tokenIds: [] });
      else expect(end).toEqual(state);
    }
  });
});

describe('loading', () => {
  it.each(['initiate', 'progress', 'done', 'ready'])(
    'leaves nothing behind when a listener throws at %s',
    async (status) => {
      const reference = createReferenceBackend();
      let open = 0;
      const backend = {
        name: reference.name,
        description: reference.description,
        threads: 1,
        weightDTypes: reference.weightDTypes,
        createSession: async (...args: Parameters<typeof reference.createSession>) => {
          const session = await reference.createSession(...args);
          open++;
          return {
            memoryBytes: session.memoryBytes,
            view: session.view.bind(session),
            read: session.read.bind(session),
            write: session.write.bind(session),
            copy: session.copy.bind(session),
            load: session.load.bind(session),
            dispose: () => {
              open--;
              return session.dispose();
            },
          };
        },
        dispose: () => reference.dispose(),
      };
      const reason = new Error('not today');
      const onProgress = (event: { status: string }) => {
        if (event.status === status) throw reason;
      };
      await expect(loadModel(bundled, { backend, onProgress })).rejects.toBe(reason);
      expect(open).toBe(0);
      const controller = new AbortController();
      const abort = (event: { status: string }) => event.status === status && controller.abort(reason);
      const late = loadModel(bundled, { backend, onProgress: abort, signal: controller.signal });
      if (status === 'ready') await (await late).dispose();
      else await expect(late).rejects.toBe(reason);
      expect(open).toBe(0);
    },
  );
});
