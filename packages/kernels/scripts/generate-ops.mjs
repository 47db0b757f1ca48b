// Writes assembly/generated/ops.ts: typed accessors of the op records, derived from the op table of @relufy/tensor, so
// that an operand or number is declared once. One namespace an op: `Linear.x(record)` is the operand's address (0 =
// absent), `Linear.inWidth(record)` a number, `Linear.code` the op's code.
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

const getters = {
  operand: (word) => `: usize { return (<usize>load<u32>(record, ${word * 4})) << 6; }`,
  int: (word) => `: i32 { return load<i32>(record, ${word * 4}); }`,
  float: (word) => `: f32 { return load<f32>(record, ${word * 4}); }`,
};
const capital = (name) => name[0].toUpperCase() + name.slice(1);
const constants = (prefix, codes) =>
  Object.entries(codes).map(([name, code]) => `export const ${prefix}${capital(name)}: i32 = ${code};`);

const lines = [
  '// Generated from the op table of @relufy/tensor by scripts/generate-ops.mjs. Do not edit.',
  `export const recordBytes: usize = ${recordWords * 4};`,
  ...constants('count', countCodes),
  ...constants('dtype', dtypeCodes),
  ...constants('activation', activationCodes),
  ...constants('schedule', scheduleFields),
  `export const partSize: i32 = ${partSize};`,
];
for (const [kind, { code, formula }] of Object.entries(opDefinitions)) {
  lines.push('', `/** ${formula} */`, `export namespace ${capital(kind)} {`, `  export const code: i32 = ${code};`);
  for (const { name, word, kind: fieldKind } of recordFields(kind)) {
    lines.push(
      '  // @ts-ignore: decorator',
      `  @inline export function ${name}(record: usize)${getters[fieldKind](word)}`,
    );
  }
  lines.push('}');
}
const folder = new URL('../assembly/generated/', import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL('ops.ts', folder), `${lines.join('\n')}\n`);
