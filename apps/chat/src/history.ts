// What a person typed in earlier chats, for the arrow keys: a file of one JSON text a line in the user's state folder,
// readable by the user alone; and where that folder is. A line that begins with a space is not kept, as in shells.
// Does not own walking through it (readline, line-reader.ts) nor whether it is wanted (the command). Node only.
import { appendFileSync, chmodSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, isAbsolute, join } from 'node:path';

export interface ChatHistory {
  /** Oldest first. */
  readonly entries: readonly string[];
  add(text: string): void;
}

const mostEntries = 1000;
/** A longer message is not kept: it was pasted, and would fill the screen. */
const longestEntry = 8000;
/** A file that has grown beyond that is cut down to its newest entries. */
const largestFile = 1 << 20;

type Environment = Readonly<Record<string, string | undefined>>;

/** `$XDG_STATE_HOME/relufy/chat-history`, by default below `~/.local/state`. */
export const historyFile = (environment: Environment): string => join(stateFolder(environment), 'chat-history');

/** Where a conversation goes that was ended in a hurry; each one takes the place of the one before. */
export function rescueFile(environment: Environment): string {
  const folder = stateFolder(environment);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch {} // the writing tells
  return join(folder, 'last-chat.json');
}

function stateFolder({ XDG_STATE_HOME: state }: Environment): string {
  // the specification: a path that is not absolute is ignored
  return join(state && isAbsolute(state) ? state : join(homedir(), '.local', 'state'), 'relufy');
}

/** A history that cannot be read is empty, and one that cannot be written is not: a chat goes on without it. */
export function openHistory(file: string): ChatHistory {
  let entries = read(file);
  return {
    get entries() {
      return entries;
    },
    add: (text) => {
      if (text.trim() === '' || text.startsWith(' ') || text.length > longestEntry || text === entries.at(-1)) return;
      entries = [...entries.slice(1 - mostEntries), text];
      try {
        mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
        // one write of one line: chats at the same time do not tear each other's
        appendFileSync(file, `${JSON.stringify(text)}\n`, { mode: 0o600 });
      } catch {} // a full disk or a read-only home is no reason to end a chat
    },
  };
}

function read(file: string): string[] {
  try {
    const { size, mode } = statSync(file);
    if (mode & 0o077) chmodSync(file, 0o600);
    const entries = readFileSync(file, 'utf8').split('\n').flatMap(entryOf).slice(-mostEntries);
    if (size > largestFile) {
      const fresh = `${file}.${process.pid}`;
      writeFileSync(fresh, entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''), { mode: 0o600 });
      renameSync(fresh, file);
    }
    return entries;
  } catch {
    return [];
  }
}

/** A line that is none of ours, or was cut off, is left out. */
function entryOf(line: string): string[] {
  try {
    const entry: unknown = JSON.parse(line);
    return typeof entry === 'string' ? [entry] : [];
  } catch {
    return [];
  }
}
