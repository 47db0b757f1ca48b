// The contract suite at 1, 2 and 3 threads, for every instruction set that this processor runs.
import { runBackendSuite } from '@relufy/tensor/contract';
import { describe, it } from 'vitest';
import { rowFileOf } from '../../../tools/testing/row-file.js';
import { createNativeBackend, nativeAvailability } from '../dist/index.js';
import { provideBinary } from '../testing/binary.mjs';

const reason = await provideBinary();
const isas: Record<string, readonly string[]> = {
  x64: ['avx512', 'avx2', 'scalar'],
  arm64: ['dotprod', 'neon', 'scalar'],
};

async function create(isa: string, threads: number) {
  process.env.RELUFY_NATIVE_ISA = isa;
  try {
    return await createNativeBackend({ threads, everyThread: true });
  } finally {
    delete process.env.RELUFY_NATIVE_ISA;
  }
}

for (const isa of isas[process.arch] ?? []) {
  const missing = reason ?? (await unavailable(isa));
  if (missing === undefined)
    runBackendSuite({
      name: `native ${isa}`,
      create: (threads) => create(isa, threads),
      threads: [1, 2, 3],
      tolerance: 2e-6,
      makeRowFile: rowFileOf,
    });
  else describe.skip(`backend contract: native ${isa} (${missing})`, () => it('is skipped', () => {}));
}

async function unavailable(isa: string): Promise<string | undefined> {
  const { available, reason: why } = nativeAvailability();
  if (!available) return why;
  try {
    await (await create(isa, 1)).dispose();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}
