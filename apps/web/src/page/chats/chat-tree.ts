// A conversation as a tree: a message knows the one before it, an edit or another answer is a sibling, and a chat shows the
// path to one leaf. Pure functions over plain data. Does not own storage (chat-store.ts) nor how it is shown.
import type { Settings } from '@relufy/chat/settings';
import type { Figures } from '../engine/engine.js';

export interface Chat {
  readonly id: string;
  readonly title: string;
  /** Milliseconds since 1970, here and below. */
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly system: string;
  /** What differs from the model's own way to sample. */
  readonly settings: Settings;
  /** The newest message that is shown; '': none yet. */
  readonly leaf: string;
}

export interface Message {
  readonly id: string;
  readonly chat: string;
  /** The message before; '': none. */
  readonly parent: string;
  readonly role: 'user' | 'assistant';
  readonly text: string;
  readonly createdAt: number;
  /** Of an answer: who wrote it, and how. */
  readonly model?: string;
  readonly settings?: Settings;
  readonly figures?: Figures;
  readonly finish?: 'stop' | 'length' | 'abort';
  readonly error?: string;
}

export type Messages = ReadonlyMap<string, Message>;

/** From the first message to a leaf. A circle, which only a damaged file can hold, ends the path. */
export function pathTo(messages: Messages, leaf: string): Message[] {
  const path: Message[] = [];
  const seen = new Set<string>();
  for (let id = leaf; id !== '' && !seen.has(id); ) {
    seen.add(id);
    const message = messages.get(id);
    if (message === undefined) break;
    path.push(message);
    id = message.parent;
  }
  return path.reverse();
}

/** Messages that stand in the same place, the oldest first. */
export function siblings(messages: Messages, { parent, role }: Message): Message[] {
  return [...messages.values()]
    .filter((one) => one.parent === parent && one.role === role)
    .sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1));
}

/** The end of the newest branch from a message on. */
export function newestLeaf(messages: Messages, from: string): string {
  let leaf = from;
  const seen = new Set<string>();
  for (;;) {
    if (seen.has(leaf)) return leaf;
    seen.add(leaf);
    const children = [...messages.values()].filter(({ parent }) => parent === leaf);
    const newest = children.sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1)).at(-1);
    if (newest === undefined) return leaf;
    leaf = newest.id;
  }
}

/** A chat's name, from what was said first. */
export function titleOf(text: string): string {
  const line = text.trim().split('\n', 1)[0]?.trim() ?? '';
  if (line === '') return 'New chat';
  return line.length <= 60 ? line : `${line.slice(0, 57).replace(/\s+\S*$/, '')}…`;
}

let last = 0;
/** Now, and never the same twice: the order of messages follows from it. */
export function timestamp(): number {
  last = Math.max(last + 1, Date.now());
  return last;
}

/** Not `crypto.randomUUID`, which pages without https lack. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36).padStart(7, '0')).join('');
}
