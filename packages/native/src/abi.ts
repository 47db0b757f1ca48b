// The name of the contract between this package's JavaScript and its binary: the calls of cpp/binding.cpp and the
// records that cpp/generated/ops.h reads. A binary built for another contract is refused by name (binding.ts).
// scripts/generate-ops.mjs writes the same name into the binary, so a change of the op table renames it by itself.
import {
  activationCodes,
  countCodes,
  dtypeCodes,
  type OpKind,
  opDefinitions,
  partSize,
  recordFields,
  recordWords,
  scheduleFields,
} from '@relufy/tensor';

/** Counts changes of the calls between JavaScript and the binary. */
const calls = 6;

/** For example `1-9f86d081`. */
export function abiName(): string {
  const records = Object.entries(opDefinitions).map(([kind, { code }]) => [kind, code, recordFields(kind as OpKind)]);
  const text = JSON.stringify([
    recordWords,
    records,
    activationCodes,
    countCodes,
    dtypeCodes,
    scheduleFields,
    partSize,
  ]);
  let hash = 0x811c9dc5; // FNV-1a
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return `${calls}-${(hash >>> 0).toString(16).padStart(8, '0')}`;
}
