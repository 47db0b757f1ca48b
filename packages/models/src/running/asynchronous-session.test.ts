// A model on sessions whose memory JavaScript does not see, as a GPU's: everything is read, written and copied by promises.
// What it answers is what it answers on memory that is shown.
import { fileURLToPath } from 'node:url';
import {
  type Backend,
  createReferenceBackend,
  type HostBackend,
  type HostProgram,
  type HostSession,
  type LoadedProgram,
  type Session,
} from '@relufy/tensor';
import { describe, expect, it } from 'vitest';
import { createBackend, loadModel, type Model } from '../node.js';

const bundled = fileURLToPath(new URL('../../../llama-tales/model/', import.meta.url));

/** Comes later, as answers of a device do. */
const later = async <T>(compute: () => T): Promise<T> => {
  await new Promise((resolve) => setImmediate(resolve));
  return compute();
};

interface Counts {
  reads: number;
  copies: number;
}

function remoteProgram(program: HostProgram, counts: Counts): LoadedProgram {
  return {
    program: program.program,
    read: (...range) => {
      counts.reads++;
      return later(() => program.read(...range));
    },
    run: (...step) => program.run(...step),
  };
}

function remoteSession(session: HostSession, counts: Counts): Session {
  return {
    get memoryBytes() {
      return session.memoryBytes;
    },
    read: (...range) => later(() => session.read(...range)),
    // the values are the caller's again when the promise is kept, not before
    write: (...values) => later(() => session.write(...values)),
    copy: (...places) => {
      counts.copies++;
      return later(() => session.copy(...places));
    },
    load: (program) => remoteProgram(session.load(program), counts),
    dispose: () => session.dispose(),
  };
}

function remote(backend: HostBackend, counts: Counts = { reads: 0, copies: 0 }): Backend {
  return {
    name: 'remote',
    description: 'remote',
    threads: backend.threads,
    weightDTypes: backend.weightDTypes,
    createSession: async (buffers, limits) => remoteSession(await backend.createSession(buffers, limits), counts),
    dispose: () => backend.dispose(),
  };
}

const answer = async (model: Model, prompt: string) => {
  const options = { maxNewTokens: 12, temperature: 0, stopTokenIds: [] };
  const { text, tokenIds, usage } = await model.generate([{ role: 'user', content: prompt }], options).result;
  return { text, tokenIds, usage };
};

/** Everything that a model does with its session. */
async function everything(model: Model) {
  const [first, second] = ['Tell me a story about a fox.', 'Tell me a story about the sea.'] as const;
  const answers = [await answer(model, first), await answer(model, second), await answer(model, first)];
  const scored = await model.score([1, 20, 300, 40, 50, 60, 7]);
  const context = [1, 30, 31, 32, 33];
  const batch = await model.scoreBatch([
    { context, continuations: [[5, 6, 7], [8]] },
    {
      context: [...context, 9],
      continuations: [
        [10, 11],
        [5, 6, 7],
      ],
    },
  ]);
  const { logits, captured } = await model.forward([1, 2, 3, 4, 5], { logits: 'all', capture: ['hidden.1'] });
  const { density, weightBytesPerToken } = model.stats();
  return { answers, scored, batch, logits, captured, density, weightBytesPerToken };
}

describe('a session without a view', () => {
  it.each([undefined, 'int8'] as const)(
    'generates, scores and captures what one with a view does, dtype %s',
    async (dtype) => {
      const counts = { reads: 0, copies: 0 };
      const options = { ...(dtype && { dtype }), contextLength: 256, slots: 3 };
      const { backend } = await createBackend({ backend: 'wasm', threads: 1 });
      await using shown = await loadModel(bundled, { ...options, backend });
      await using hidden = await loadModel(bundled, { ...options, backend: remote(backend, counts) });
      expect(await everything(hidden)).toEqual(await everything(shown));
      expect(counts.reads).toBeGreaterThan(0);
      expect(counts.copies).toBeGreaterThan(0);
      // the conversation that came back was found, not computed again
      const before = await answer(hidden, 'Tell me a story about a fox.');
      expect(before.usage.cachedTokens).toBeGreaterThan(5);
    },
  );

  it('says what it lacks as one with a view does', async () => {
    const session = await remote(createReferenceBackend()).createSession(
      [{ name: 'x', kind: 'state', dtype: 'f32', shape: [4] }],
      { maxRows: 1, maxOutputs: 1 },
    );
    await expect(session.write('x', [1, 2], 3)).rejects.toMatchObject({
      code: 'input',
      message: 'buffer "x": expected elements within 0 to 4, got 3 to 5.',
    });
    await session.dispose();
    await expect(session.read('x')).rejects.toMatchObject({ code: 'state' });
  });
});
