// A teacher that answers from disk teaches what one alongside does, bit for bit, and is not loaded when it has said
// everything before.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadModel, type Model } from '@relufy/models';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRunConfig, runTraining } from './index.js';
import { likeliest } from './teacher.js';
import { TeacherAnswers } from './teacher-answers.js';
import { type TinyRun, tinyModel, tinyRun } from './testing/tiny-run.js';

let tiny: TinyRun;
let teacher: string;
beforeAll(async () => {
  tiny = await tinyRun(mkdtempSync(join(tmpdir(), 'relufy-teacher-')));
  teacher = await train('teacher', { steps: 8 });
});
afterAll(() => rmSync(tiny.folder, { recursive: true, force: true }));

/** Gives the folder of the model. */
async function train(
  out: string,
  changes: Readonly<Record<string, unknown>>,
  loadTeacher?: (source: string) => Promise<Model>,
): Promise<string> {
  const config = parseRunConfig(tiny.config(join(tiny.folder, out), changes));
  await runTraining(config, { ...(loadTeacher && { loadTeacher }) });
  return join(tiny.folder, out, 'model');
}

const weightsOf = (model: string): Buffer => readFileSync(join(model, 'model.safetensors'));

/** Counts what a teacher is asked. */
function counting() {
  const counts = { loaded: 0, asked: 0 };
  const load = async (source: string) => {
    counts.loaded++;
    const model = await loadModel(source, { backend: 'reference' });
    const forward = model.forward.bind(model);
    model.forward = ((...given: Parameters<typeof forward>) => {
      counts.asked++;
      return forward(...given);
    }) as typeof forward;
    return model;
  };
  return { counts, load };
}

describe('a teacher', () => {
  const student = (from: string, cache?: string) => ({
    model: { from, relufy: { stage: 1 } },
    distillation: { teacher: from, weight: 1, lossWeight: 0.5, tokens: 8, ...(cache && { cache }) },
  });

  it('says the same from disk as alongside, bit for bit, and is asked once', async () => {
    const cache = join(tiny.folder, 'answers');
    const alongside = await train('alongside', student(teacher), counting().load);
    const first = counting();
    const filling = await train('filling', student(teacher, cache), first.load);
    // 6 steps of 2 sequences
    expect(first.counts).toEqual({ loaded: 1, asked: 12 });
    const second = counting();
    const cached = await train('cached', student(teacher, cache), second.load);
    expect(second.counts).toEqual({ loaded: 0, asked: 0 });
    expect(weightsOf(filling).equals(weightsOf(alongside))).toBe(true);
    expect(weightsOf(cached).equals(weightsOf(alongside))).toBe(true);

    // as a kill leaves it, in the middle of the last record
    const [folder] = readdirSync(cache) as [string];
    const [file] = readdirSync(join(cache, folder)) as [string];
    const path = join(cache, folder, file);
    truncateSync(path, statSync(path).size - 5);
    const third = counting();
    const repaired = await train('repaired', student(teacher, cache), third.load);
    expect(third.counts).toEqual({ loaded: 1, asked: 1 });
    expect(weightsOf(repaired).equals(weightsOf(alongside))).toBe(true);
    expect(readdirSync(join(cache, folder)).length).toBe(2);

    // another teacher has answers of its own
    const other = await train('other-teacher', { steps: 9 });
    const fourth = counting();
    await train('other-student', student(other, cache), fourth.load);
    expect(fourth.counts.asked).toBe(12);
  });

  it('is refused with another vocabulary', async () => {
    const model = { config: { ...tinyModel, vocab_size: 320 }, tokenizer: join(tiny.folder, 'tokenizer') };
    const wide = await train('wide', { model });
    const distillation = { teacher: wide };
    await expect(train('narrow', { model: { from: teacher }, distillation })).rejects.toThrow(
      /distillation teacher .*: expected a vocabulary of 300, got 320/,
    );
  });
});

it('the likeliest tokens come first, ties by id, and leave the mass of the others', () => {
  const logits = Float32Array.from([1, 3, 2, 3, -5]);
  const { ids, logprobs } = likeliest(logits, 3);
  expect([...ids]).toEqual([1, 3, 2]);
  const all = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  const tail = 1 - logprobs.reduce((sum, logprob) => sum + Math.exp(logprob), 0);
  expect(tail).toBeCloseTo((Math.exp(1) + Math.exp(-5)) / all, 12);
});

it('answers of several runs stand side by side', async () => {
  const folder = join(tiny.folder, 'several');
  const sequence = (id: number) => ({ ids: Int32Array.of(1, id), mask: Uint8Array.of(0, 1) });
  const answer = (id: number) => ({ ids: Int32Array.of(id, 2), logprobs: Float32Array.of(-0.5, -1.5) });
  const open = () => TeacherAnswers.open(folder, 'abc', 2);
  const [first, second] = [await open(), await open()];
  await first.add(sequence(5), answer(5));
  await second.add(sequence(6), answer(6));
  expect(await first.get(sequence(6))).toBeUndefined();
  for (const answers of [first, second]) await answers.close();
  const both = await open();
  expect(both.count).toBe(2);
  for (const id of [5, 6]) expect(await both.get(sequence(id))).toEqual(answer(id));
  // the same ids, scored elsewhere
  expect(await both.get({ ids: Int32Array.of(1, 5), mask: Uint8Array.of(1, 1) })).toBeUndefined();
  await both.close();
});
