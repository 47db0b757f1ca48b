// announceRows in front of a real file: the system reads ahead what was announced, and nothing that lies in memory already.
// Asks the system which pages of the file it holds (fincore of util-linux), so it is skipped where that cannot be told. What the
// op must not change is in the contract suite.
import { execFileSync, spawnSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type BufferDecl, ProgramBuilder, type RowFile, slotFields } from '@relufy/tensor';
import { afterAll, expect, it } from 'vitest';
import { createNativeBackend } from '../dist/index.js';
import { provideBinary } from '../testing/binary.mjs';

const reason =
  (await provideBinary()) ??
  (spawnSync('fincore', ['--version']).status === 0 ? undefined : 'no fincore on this system');
const folder = mkdtempSync(path.join(os.tmpdir(), 'relufy-announce-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const [neurons, width, page] = [2048, 1024, 4096];
const limits = { maxRows: 1, maxOutputs: 1 };
const buffers: BufferDecl[] = [
  { name: 'mask', kind: 'input', dtype: 'f32', shape: ['rows', neurons] },
  { name: 'w', kind: 'stored', dtype: 'f32', shape: [neurons, width] },
  { name: 'slots', kind: 'state', dtype: 'i32', shape: [neurons, slotFields] },
  { name: 'table', kind: 'state', dtype: 'i32', shape: [neurons] },
];

it.skipIf(reason)(`what is announced is read ahead${reason ? ` (${reason})` : ''}`, async ({ skip }) => {
  const file = path.join(folder, 'rows');
  const descriptor = openSync(file, 'w+');
  writeSync(descriptor, new Uint8Array(neurons * page));
  fsyncSync(descriptor);
  const held = () => Number(execFileSync('fincore', ['--noheadings', '--output', 'PAGES', file], { encoding: 'utf8' }));
  const rows: RowFile = {
    ...{ path: file, size: neurons * page, descriptor },
    ...{ read: () => {}, check: () => {}, close: () => closeSync(descriptor) },
  };
  const backend = await createNativeBackend({ threads: 2, everyThread: true });
  const session = await backend.createSession(buffers, limits);
  await session.attach?.('w', { file: rows, firstByte: 0 });
  const builder = new ProgramBuilder('announce', limits);
  for (const buffer of buffers) builder.use(buffer);
  const active = builder.activation('active', ['rows', neurons], 'i32');
  const activeCount = builder.activation('activeCount', ['rows'], 'i32');
  builder.op('selectActive', { x: 'mask', active, activeCount });
  builder.op('announceRows', { active, activeCount, a: 'w', table: 'table', slots: 'slots' }, { layer: 0 });
  builder.keep(activeCount);
  const loaded = session.load(builder.build());
  const wanted = Array.from({ length: 20 }, (_, i) => 97 * i + 5);
  const mask = session.view('mask');
  for (const n of wanted) mask[n] = 1;
  // a step gives up the pages of the file when it ends, a profile of one does not
  const forget = async () => {
    mask.fill(0);
    await loaded.run({ rows: 1, outputs: 0 });
    for (const n of wanted) mask[n] = 1;
  };
  try {
    await forget();
    if (held() > 0) skip('this file system holds files in memory');
    await loaded.profile({ rows: 1, outputs: 0 });
    for (let tries = 0; held() < wanted.length && tries < 100; tries++) await sleep(50);
    expect(held()).toBe(wanted.length);
    await forget();
    // neuron n has slot n: all but the first three are in memory
    const [slots, table] = [session.view('slots'), session.view('table')];
    for (let n = 0; n < neurons; n++) {
      table[n] = n;
      if (!wanted.slice(0, 3).includes(n)) slots[n * slotFields] = n + 1;
    }
    await loaded.profile({ rows: 1, outputs: 0 });
    for (let tries = 0; held() < 3 && tries < 100; tries++) await sleep(50);
    await sleep(100);
    expect(held()).toBe(3);
  } finally {
    await session.dispose();
    await backend.dispose();
  }
});
