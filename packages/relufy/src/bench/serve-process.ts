// `relufy serve` as a process of its own for as long as a bench asks it, so that its clients do not share its thread.
// Does not own what is asked (serve.ts).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { RelufyError, show } from '@relufy/tensor';

export interface ServerProcess {
  readonly url: string;
  readonly close: () => Promise<void>;
}

/**
 * `command`: how this program was started, as in process.argv; `args` those behind `serve`.
 * @throws RelufyError `io` with what it said, where it ends before it listens with its model loaded.
 */
export async function startServer(
  [node, entry]: readonly [string, string],
  args: readonly string[],
): Promise<ServerProcess> {
  const child = spawn(node, [entry, 'serve', ...args, '--port', '0', '--no-web', '--log-level', 'error'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const ended = once(child, 'exit');
  const failed = ended.then(() => {
    throw new RelufyError('io', `bench serve: expected a server that starts, got ${show(said.trim().slice(-500))}.`);
  });
  const close = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    return { url: await Promise.race([failed, listening(() => said)]), close };
  } catch (error) {
    child.kill();
    throw error;
  }
}

/** Its URL, when its model is loaded. */
async function listening(said: () => string): Promise<string> {
  for (;;) {
    const [, url] = /Listening on (\S+)/.exec(said()) ?? [];
    if (url && (await fetch(`${url}/health`)).ok) return url;
    await new Promise((resolve) => setTimeout(resolve, 50).unref());
  }
}
