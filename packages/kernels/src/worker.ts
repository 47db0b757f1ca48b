// The entry of a team's worker, for Node and for browsers. It waits on the control block, runs its share of a step, and
// waits again; only a `listen` command lets it back into its event loop, to hear one message (see protocol.ts).
// Owns its instances, one a session. A trap is not caught: the worker dies of it, and team.ts reports that.
// Built as one file without imports or exports, which runs as a module and as a script alike: bundlers copy it as it is.
import { findCollector } from './collect.js';
import type { ReadFile } from './fetch-rows.js';
import {
  action,
  barrierWord,
  barrierWords,
  controlWord,
  type HostMessage,
  instantiate,
  participantBits,
  profileOps,
  type RunKernel,
  type StepCall,
  type WorkerMessage,
} from './protocol.js';
import { SyncFiles } from './sync-files.js';

interface Port {
  post(message: WorkerMessage): void;
  listen(hear: (message: HostMessage) => void): void;
  readonly collect?: () => void;
  readonly readFile?: ReadFile;
}

type BuiltIn = <Name extends 'worker_threads' | 'v8' | 'vm' | 'fs'>(
  name: `node:${Name}`,
) => {
  worker_threads: typeof import('node:worker_threads');
  v8: typeof import('node:v8');
  vm: typeof import('node:vm');
  fs: typeof import('node:fs');
}[Name];

/** The thread's line to the host; undefined where this is no thread of Node. Nothing is imported, so nothing is bundled. */
function nodePort(): Port | undefined {
  const { getBuiltinModule } = (globalThis as { process?: { getBuiltinModule?: BuiltIn } }).process ?? {};
  const parentPort = getBuiltinModule?.('node:worker_threads')?.parentPort;
  if (!getBuiltinModule || !parentPort) return undefined;
  return {
    collect: findCollector(getBuiltinModule('node:v8'), getBuiltinModule('node:vm')),
    readFile: getBuiltinModule('node:fs').readSync,
    post: (message) => parentPort.postMessage(message),
    listen: (hear) => parentPort.on('message', hear),
  };
}

function browserPort(): Port {
  const scope = globalThis as unknown as {
    postMessage(message: WorkerMessage): void;
    onmessage: (event: MessageEvent<HostMessage>) => void;
  };
  return {
    post: (message) => scope.postMessage(message),
    listen: (hear) => {
      scope.onmessage = ({ data }) => hear(data);
    },
  };
}

function serve(port: Port): void {
  const instances = new Map<number, RunKernel>();
  /** The beginning of each session's memory: its barrier. */
  const barriers = new Map<number, Int32Array>();
  const files = new SyncFiles();
  let index = 0;
  let control: Int32Array = new Int32Array(0);
  let seen = 0;

  /** Says what a step took, and how long its waits lasted in vain. After steps alone, waits begin with patience again. */
  const report = (ms: number, threads: number): void => {
    const block = barriers.get(control[controlWord.session] as number) as Int32Array;
    control[controlWord.took] = 1000 * ms;
    control[controlWord.stalled] = threads > 1 ? Atomics.exchange(block, barrierWord.stalled, 0) : 0;
    if (threads === 1) block[barrierWord.mood] = 0;
  };

  /** Waits for commands and obeys them, until one says to listen. */
  const obey = (): void => {
    const own = index === 0 ? controlWord.command : controlWord.others;
    for (;;) {
      Atomics.wait(control, own, seen);
      const command = Atomics.load(control, own);
      if (command === seen) continue;
      seen = command;
      const threads = command & ((1 << participantBits) - 1);
      if (index >= threads) continue;
      const word = (name: keyof typeof controlWord): number => control[controlWord[name]] as number;
      if (word('action') === action.listen) return;
      const run = instances.get(word('session'));
      if (run === undefined) throw new Error(`internal: session ${word('session')} is not open`);
      if (word('action') === action.run) {
        const scratch = word('scratch') + index * word('scratchStride');
        const before = index === 0 ? performance.now() : 0;
        run(
          word('program'),
          word('from'),
          word('to'),
          word('rows'),
          word('outputs'),
          index,
          threads,
          scratch,
          word('shared'),
          word('barrier'),
        );
        if (index === 0) {
          report(performance.now() - before, threads);
          port.post(0);
        }
      } else {
        const call = Object.fromEntries(Object.entries(controlWord).map(([name, at]) => [name, control[at]]));
        const times = profileOps(run, call as unknown as StepCall, index, threads);
        if (index === 0) port.post(times);
      }
    }
  };

  port.listen((message) => {
    if (message.kind === 'openFile') {
      const opened = files.open(message.file, message.handle).then(
        () => 0 as const,
        (error: unknown) => String(error),
      );
      void opened.then((answer) => {
        port.post(answer);
        obey();
      });
      return;
    }
    if (message.kind === 'closeFile') files.close(message.file);
    else if (message.kind === 'start') ({ index, control, command: seen } = message);
    else if (message.kind === 'close') {
      instances.delete(message.session);
      barriers.delete(message.session);
      if (message.collect) port.collect?.();
    } else {
      instances.set(message.session, instantiate(message.module, message.memory, port.readFile ?? files.read));
      barriers.set(message.session, new Int32Array(message.memory.buffer, message.barrier, barrierWords));
    }
    port.post(0);
    obey();
  });
}

serve(nodePort() ?? browserPort());
