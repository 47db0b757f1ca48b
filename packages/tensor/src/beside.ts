// Files that lie beside the code of a package: WebAssembly, a worker's script, a model. A bundler moves code, and takes
// such files along only where it knows the expression that names them. Owns: what is said where one did not.

/** The end of a sentence, without its full stop. */
export const bundlerRemedy =
  'If a bundler made this program, it has to copy the files that `new URL(..., import.meta.url)` names: Vite, webpack and Next.js do, esbuild with `format: "esm"` and the plugin of "relufy/esbuild"; on a server, leave relufy out of the bundle (external)';

/**
 * What is made of the address of a file beside the code.
 * @throws Error where code has no address, in a bundle that is no ES module.
 */
export function locate<Located>(file: () => Located): Located {
  try {
    return file();
  } catch (cause) {
    throw new Error(`expected an ES module, which knows its own address, got a script. ${bundlerRemedy}`, { cause });
  }
}
