// Lets the event loop turn: timers, I/O and aborts get their chance between the steps of a backend that computes on
// the calling thread. setTimeout would cost a millisecond each time; setImmediate and a message channel do not.

type Immediate = (callback: () => void) => unknown;

/** Resolves after the event loop has turned once. */
export function yieldToEventLoop(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: Immediate };
  return new Promise((resolve) => {
    if (setImmediate) {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}
