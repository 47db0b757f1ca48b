// The entry of a team's worker, for Node and for browsers. It waits on the control block, runs its share of a step, and
// waits again; only a `listen` command lets it back into its event loop, to hear one message (see protocol.ts).
// Owns its instances, one a session. A trap is not caught: the worker dies of it, and team.ts reports that.
// Built as one file without imports or exports, which runs as a module and as a script alike: bundlers copy it as it is.
import { findCollector } from './collect.js';
import {
  action,
  controlWord,
  type HostMessage,
  instantiate,
  participantBits,
  profileOps,
  type RunKernel,
  type StepCall,
  type WorkerMessage,
} from './protocol.js';

interface Port {
  post(message: WorkerMessage): void;
  listen(hear: (message: HostMessage) => void): void;
  readonly collect?: () => void;
}

type BuiltIn = <Name extends 'worker_threads' | 'v8' | 'vm'>(
  name: `node:${Name}`,
) => {
  worker_threads: typeof import('node:worker_threads');
  v8: typeof import('node:v8');
  vm: typeof import('node:vm');
}[Name];

/** The thread's line to the host; undefined where this is no thread of Node. Nothing is imported, so nothing is bundled. */
function nodePort(): Port | undefined {
  const { getBuiltinModule } = (globalThis as { process?: { getBuiltinModule?: BuiltIn } }).process ?? {};
  const parentPort = getBuiltinModule?.('node:worker_threads')?.parentPort;
  if (!getBuiltinModule || !parentPort) return undefined;
  return {
    collect: findCollector(getBuiltinModule('node:v8'), getBuiltinModule('node:vm')),
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
  let index = 0;
  let control: Int32Array = new Int32Array(0);
  let seen = 0;

  /** Waits for commands and obeys them, until one says to listen. */
  const obey = (): void => {
    for (;;) {
      Atomics.wait(control, controlWord.command, seen);
      const command = Atomics.load(control, controlWord.command);
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
        if (index === 0) port.post(0);
      } else {
        const call = Object.fromEntries(Object.entries(controlWord).map(([name, at]) => [name, control[at]]));
        const times = profileOps(run, call as unknown as StepCall, index, threads);
        if (index === 0) port.post(times);
      }
    }
  };

  port.listen((message) => {
    if (message.kind === 'start') ({ index, control, command: seen } = message);
    else if (message.kind === 'close') {
      instances.delete(message.session);
      if (message.collect) port.collect?.();
    } else instances.set(message.session, instantiate(message.module, message.memory));
    port.post(0);
    obey();
  });
}

serve(nodePort() ?? browserPort());
