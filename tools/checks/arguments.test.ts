// How many positional arguments a function of the kernels takes: 8 at most. Beyond, nobody sees at a call which number is which.
// Owns the list of those that still have more, which may only shrink.
import { readFileSync } from 'node:fs';
import { parseSync, Visitor } from 'rolldown/utils';
import { describe, expect, test } from 'vitest';
import { repositoryFiles, root } from './workspace.js';

const most = 8;

/**
 * AssemblyScript has no structs that are passed in registers, and a struct in memory would lie in memory that all workers
 * share. What these take are an op's operands and a share of its work.
 */
const stillMore: Readonly<Record<string, number>> = {
  'kernels/assembly/axpy.ts add1': 9,
  'kernels/assembly/axpy.ts add8': 9,
  'kernels/assembly/block-axpy.ts add8': 11,
  'kernels/assembly/block-axpy.ts axpyBlocks': 11,
  'kernels/assembly/block-gemm.ts gemmBlocks': 14,
  'kernels/assembly/block-gemm.ts tileBlocks': 9,
  'kernels/assembly/block-linear.ts gemvBlocks': 11,
  'kernels/assembly/block-transposed.ts addRows': 15,
  'kernels/assembly/block-transposed.ts gemmTransposedBlocks': 11,
  'kernels/assembly/block-transposed.ts oneRow': 15,
  'kernels/assembly/block-transposed.ts transposedBlocks': 16,
  'kernels/assembly/gemm-transposed.ts gemmTransposed': 11,
  'kernels/assembly/gemm.ts gemm': 14,
  'kernels/assembly/gemv.ts gemv': 11,
  'kernels/assembly/interpreter.ts run': 10,
  'kernels/assembly/linear.ts axpyEach': 11,
  'kernels/assembly/linear.ts denseTransposed': 11,
  'kernels/assembly/linear.ts gemvEach': 11,
  'kernels/assembly/linear.ts product': 12,
  'kernels/assembly/masks.ts choose': 12,
  'kernels/assembly/masks.ts chooseRun': 9,
  'kernels/assembly/norm.ts normalise': 10,
  'kernels/assembly/norm.ts normaliseRun': 9,
  'kernels/assembly/top.ts keepBestOfFew': 9,
  'kernels/assembly/training/attention-tiles.ts mix': 10,
  'kernels/assembly/training/attention-tiles.ts scores': 10,
  'kernels/assembly/training/interpreter.ts run': 10,
  'kernels/assembly/training/linear-gradient.ts gradient': 11,
  'kernels/assembly/training/norm-backward.ts head': 9,
  'kernels/assembly/training/product.ts manyRows': 12,
  'kernels/assembly/training/product.ts trainingProduct': 12,
};

const read = (file: string): string => readFileSync(root + file, 'utf8');

/** Functions of TypeScript, AssemblyScript among it, with the number of their parameters. */
function typescript(file: string): [string, number][] {
  const found: [string, number][] = [];
  const note = (name: string | undefined, count: number) => found.push([name ?? 'a function', count]);
  const visitor = new Visitor({
    FunctionDeclaration: ({ id, params }) => void note(id?.name, params.length),
    FunctionExpression: ({ id, params }) => void note(id?.name, params.length),
    ArrowFunctionExpression: ({ params }) => void note(undefined, params.length),
  });
  // AssemblyScript's decorators of functions are no TypeScript
  const { program, errors } = parseSync(file, read(file).replace(/^\s*@\w+(\([^)]*\))?/gm, ''));
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
  visitor.visit(program);
  return found;
}

/** Functions that are defined in C++, with the number of their parameters. */
function cpp(text: string): [string, number][] {
  const code = text.replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
  const found: [string, number][] = [];
  for (const { 1: name = '', index, 0: whole } of code.matchAll(/\b(\w+)\(/g)) {
    if (/^(if|for|while|switch|catch|return)$/.test(name)) continue;
    const { inside, end } = parentheses(code, index + whole.length);
    if (/^\s*(const\s*)?(noexcept\s*)?(:\s*\w+[({][^;]*)?\{/.test(code.slice(end, end + 200)))
      found.push([name, countOf(inside)]);
  }
  return found;
}

function parentheses(code: string, from: number): { readonly inside: string; readonly end: number } {
  let end = from;
  for (let depth = 1; depth > 0 && end < code.length; end++)
    depth += code[end] === '(' ? 1 : code[end] === ')' ? -1 : 0;
  return { inside: code.slice(from, end - 1), end };
}

/** Commas between parameters, not those within brackets of any kind. */
function countOf(parameters: string): number {
  let flat = parameters;
  for (let before = ''; before !== flat; ) {
    before = flat;
    flat = flat.replace(/\([^()]*\)|<[^<>]*>|\{[^{}]*\}|\[[^[\]]*\]/g, '');
  }
  return flat.trim() === '' || flat.trim() === 'void' ? 0 : flat.split(',').length;
}

const more = (functions: readonly [string, number][], file: string): [string, number][] =>
  functions
    .filter(([, count]) => count > most)
    .map(([name, count]) => [`${file.replace(/^packages\//, '')} ${name}`, count]);

describe(`a function takes ${most} arguments at most`, () => {
  test('in the kernels of C++', () => {
    const files = repositoryFiles.filter((file) => /^packages\/native\/cpp\/.*\.(h|cpp)$/.test(file));
    const functions = files.map((file) => [file, cpp(read(file))] as const);
    // else the parser has lost them
    expect(functions.reduce((sum, [, found]) => sum + found.length, 0)).toBeGreaterThan(500);
    expect(functions.flatMap(([file, found]) => more(found, file))).toEqual([]);
  });

  test('in the kernels of WebAssembly and the reference, but for those that are listed', () => {
    const files = repositoryFiles.filter((file) =>
      /^packages\/(kernels\/(assembly|src)|tensor\/src)\/.*(?<!\.test)\.ts$/.test(file),
    );
    expect(Object.fromEntries(files.flatMap((file) => more(typescript(file), file)))).toEqual(stillMore);
  });

  test('is counted right', () => {
    expect(
      cpp('static void f(int a, const Map<int, int>& b, void (*c)(int, int), int d[2] = {1, 2}) { g(1, 2, 3); }'),
    ).toEqual([['f', 4]]);
    expect(cpp('int f(void) const { return h(1); } int declared(int a, int b);')).toEqual([['f', 0]]);
  });
});
