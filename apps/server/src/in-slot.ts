// Work on a model that gives no tokens one by one, such as embeddings: loads the model, waits for a slot, and frees both.
// Does not own generation (answer.ts).
import type { Model } from '@relufy/models';
import { Ending } from './ending.js';
import type { Call } from './service.js';

export interface SlotAsked {
  readonly modelName: string | undefined;
  readonly keepAliveMs?: number | undefined;
}

export async function inSlot<T>(
  call: Call,
  { modelName, keepAliveMs }: SlotAsked,
  work: (model: Model, id: string, signal: AbortSignal, loadMs: number) => Promise<T>,
): Promise<T> {
  const ending = new Ending(call);
  const { signal } = ending;
  try {
    const { served, lanes } = call.service.models.find(modelName);
    call.notes.model = served.id;
    const lease = await call.service.models.lease(served.id, signal);
    ending.onEnd(() => lease.release(keepAliveMs));
    ending.onEnd(await lanes.enter({ slots: 1, client: call.client, isBatch: call.isBatch, signal }));
    ending.startDeadline();
    return await work(lease.model, served.id, signal, lease.loadMs);
  } finally {
    ending.end();
  }
}

/** The model alone, without a slot: for what computes nothing. */
export async function withModel<T>(
  call: Call,
  modelName: string | undefined,
  work: (model: Model, id: string) => T | Promise<T>,
): Promise<T> {
  const { served } = call.service.models.find(modelName);
  call.notes.model = served.id;
  const lease = await call.service.models.lease(served.id, call.request.signal);
  try {
    return await work(lease.model, served.id);
  } finally {
    lease.release();
  }
}
