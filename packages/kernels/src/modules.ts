// The compiled WASM modules: each build once a process, when it is first wanted. A failure is not remembered.
// Owns which build serves which kernels and memory. Does not own where files lie (node-platform.ts, browser-platform.ts).
import type { Build, Platform } from './platform.js';

/** Which kernels a program needs: those of training are in modules of their own, which only training loads. */
export type KernelSet = 'inference' | 'training';

const compiled = new Map<Build, Promise<WebAssembly.Module>>();

export function compiledModule(
  platform: Platform,
  kernels: KernelSet,
  memory: 'threads' | 'single',
): Promise<WebAssembly.Module> {
  const build: Build = kernels === 'training' ? `training-${memory}` : memory;
  const known = compiled.get(build);
  if (known !== undefined) return known;
  const module = platform.compile(build).catch((error) => {
    compiled.delete(build);
    throw error;
  });
  compiled.set(build, module);
  return module;
}
