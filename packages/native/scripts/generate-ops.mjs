// Writes cpp/generated/ops.h: typed accessors of the op records, derived from the op table of @relufy/tensor, so that an
// operand or number is declared once. One struct an op: `Linear::x(record)` is the operand's address (null = absent),
// `Linear::inWidth(record)` a number, `Linear::code` the op's code. Runs before the compiler (build-native.mjs).
import { mkdirSync, writeFileSync } from 'node:fs';
import {
  activationCodes,
  countCodes,
  dtypeCodes,
  opDefinitions,
  partSize,
  recordFields,
  recordWords,
  scheduleFields,
} from '@relufy/tensor';
import { abiName } from '../dist/abi.js';

const capital = (name) => name[0].toUpperCase() + name.slice(1);
const pointers = { f32: 'float', i32: 'int32_t', i8: 'int8_t' };

/** The C++ type behind an operand: one of several formats is bytes until the kernel knows which. */
function pointer({ access, dtypes }) {
  const type = dtypes.length === 1 ? (pointers[dtypes[0]] ?? 'char') : 'char';
  return `${access === 'read' ? 'const ' : ''}${type}*`;
}

function accessor(kind, { name, word, kind: fieldKind }) {
  if (fieldKind === 'operand') {
    const type = pointer(opDefinitions[kind].operands[name]);
    return `  RELUFY_INLINE static ${type} ${name}(Record r) { return reinterpret_cast<${type}>(address(r, ${word})); }`;
  }
  return fieldKind === 'int'
    ? `  RELUFY_INLINE static int ${name}(Record r) { return static_cast<int>(r.words[${word}]); }`
    : `  RELUFY_INLINE static float ${name}(Record r) { return number(r, ${word}); }`;
}

const constants = (prefix, codes) =>
  Object.entries(codes).map(([name, code]) => `constexpr int ${prefix}${capital(name)} = ${code};`);

const largest = Math.max(...Object.values(opDefinitions).map(({ code }) => code));
const countWords = Array.from({ length: largest + 1 }, () => 0);
for (const [kind, { code }] of Object.entries(opDefinitions))
  countWords[code] = recordFields(kind).find(({ name }) => name === 'count')?.word ?? 0;

const lines = [
  '// Generated from the op table of @relufy/tensor by scripts/generate-ops.mjs. Do not edit.',
  '#pragma once',
  '#include "../record.h"',
  '',
  `#define RELUFY_ABI "${abiName()}"`,
  '',
  'namespace relufy {',
  '',
  `constexpr int recordWords = ${recordWords};`,
  `constexpr int opCodes = ${largest + 1};`,
  '/** Op code -> the word of its count (rows or outputs); 0: no such op. */',
  `constexpr uint8_t countWords[opCodes] = {${countWords.join(', ')}};`,
  ...constants('count', countCodes),
  ...constants('dtype', dtypeCodes),
  ...constants('activation', activationCodes),
  ...constants('schedule', scheduleFields),
  `constexpr int partSize = ${partSize};`,
  `constexpr int activationKinds = ${Object.keys(activationCodes).length};`,
];
for (const [kind, { code, formula }] of Object.entries(opDefinitions))
  lines.push(
    '',
    `/** ${formula} */`,
    `struct ${capital(kind)} {`,
    `  static constexpr int code = ${code};`,
    ...recordFields(kind).map((field) => accessor(kind, field)),
    '};',
  );
lines.push('', '}  // namespace relufy', '');

const folder = new URL('../cpp/generated/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('ops.h', folder), lines.join('\n'));
