// Runs the built command as a user's shell would.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const cliPath = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

export interface CliResult {
  /** null: a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Hears the process once it runs. */
  readonly whileRunning?: (child: ChildProcess) => void;
}

export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { NO_COLOR: _, FORCE_COLOR: __, RELUFY_DEBUG: ___, ...env } = process.env;
  const child = spawn(process.execPath, [cliPath, ...args], { env: { ...env, ...options.env } });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdin.on('error', () => {}); // a command that does not read may be gone before we have written
  if (options.whileRunning) options.whileRunning(child);
  else child.stdin.end(options.input ?? '');
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

/** `script` of util-linux runs a command at a terminal of its own. */
export const hasScript =
  spawnSync('script', ['--version'], { encoding: 'utf8' }).stdout?.includes('util-linux') === true;

export interface Terminal {
  readonly exit: Promise<number | null>;
  readonly screen: () => string;
  readonly type: (keys: string) => void;
  /** Resolves when what has been written since the last call holds the text. */
  readonly sees: (text: string) => Promise<void>;
}

/** The command at a pseudo-terminal. */
export function openTerminal(args: readonly string[], env: Readonly<Record<string, string>> = {}): Terminal {
  const command = [process.execPath, cliPath, ...args].map((word) => `'${word}'`).join(' ');
  const { NO_COLOR: _, FORCE_COLOR: __, ...others } = process.env;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    env: { ...others, TERM: 'xterm', RELUFY_HISTORY: '0', ...env },
  });
  let screen = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text) => {
    screen += text;
  });
  return {
    exit: new Promise((resolve) => child.on('close', resolve)),
    screen: () => screen,
    type: (keys) => child.stdin.write(keys),
    sees: async (text) => {
      const deadline = performance.now() + 20_000;
      for (;;) {
        const at = screen.indexOf(text, seen);
        if (at >= 0) {
          seen = at + text.length;
          return;
        }
        if (performance.now() > deadline) {
          child.kill();
          throw new Error(`never saw ${JSON.stringify(text)} in ${JSON.stringify(screen.slice(seen))}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 3));
      }
    },
  };
}
