// The server's log: one line of JSON for each event, by pino. It holds what happened and how long it took; never a header,
// a key or, unless asked for, a prompt. Does not own when something is logged.
import { pino } from 'pino';

/** What the server logs through: pino's own logger fits. */
export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silent: Log = { info: () => {}, warn: () => {}, error: () => {} };

export interface LogOptions {
  readonly level?: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** Where lines go; standard error by default. */
  readonly write?: (line: string) => void;
}

export function createLog({ level = 'info', write }: LogOptions = {}): Log {
  const options = { level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  return write ? pino(options, { write }) : pino(options, pino.destination({ fd: 2, sync: true }));
}

/** Fields that requests had and nobody read, each told once. */
export class OncePerField {
  readonly #told = new Set<string>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  tell(route: string, fields: readonly string[]): void {
    // names come from strangers: short ones, and not without end
    const news = fields
      .map((field) => field.slice(0, 64))
      .filter((field) => !this.#told.has(`${route} ${field}`) && this.#told.size < 1000);
    for (const field of news) this.#told.add(`${route} ${field}`);
    if (news.length > 0) this.#log.warn({ route, fields: news }, 'fields without effect');
  }
}
