// The compiled WASM modules: each build once a process, when it is first wanted. A failure is not remembered.
// Owns which build serves which kernels, memory and engine. Does not own where files lie (node-platform.ts,
// browser-platform.ts) or whether relaxed SIMD works (relaxed.ts).
import type { Build, Platform } from './platform.js';

/** Which kernels a program needs: those of training are in modules of their own, which only training loads. */
export type KernelSet = 'inference' | 'training';

/** The module of each set of kernels, as one backend runs them. */
export type Modules = (kernels: KernelSet) => Promise<WebAssembly.Module>;

export function modulesFor(platform: Platform, memory: 'threads' | 'single', relaxedSimd: boolean): Modules {
  const builds: Readonly<Record<KernelSet, Build>> = {
    inference: relaxedSimd ? `${memory}-relaxed` : memory,
    training: `training-${memory}`,
  };
  return (kernels) => compileOnce(platform, builds[kernels]);
}

const compiled = new Map<Build, Promise<WebAssembly.Module>>();

function compileOnce(platform: Platform, build: Build): Promise<WebAssembly.Module> {
  const known = compiled.get(build);
  if (known !== undefined) return known;
  const module = platform.compile(build).catch((error) => {
    compiled.delete(build);
    throw error;
  });
  compiled.set(build, module);
  return module;
}
