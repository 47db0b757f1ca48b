// From lines to messages. A line is a message, unless it ends with a backslash (the next line belongs to it) or opens a
// block with """, which ends with """. Does not own where lines come from (line-reader.ts) nor what a message means (commands.ts).

export interface Message {
  readonly text: string;
  /** It came in a block: the words of the chat itself mean nothing in it. */
  readonly literal: boolean;
}

const fence = '"""';
const continued = /(?<!\\)(?:\\\\)*\\$/;

export class MessageLines {
  #lines: string[] | undefined;
  #inBlock = false;
  #length = 0;

  /** Characters of a message that has begun and is not whole. */
  get length(): number {
    return this.#length;
  }

  /** A message has begun and is not whole. */
  get open(): boolean {
    return this.#lines !== undefined;
  }

  /** The message that the line ends. */
  push(line: string): Message | undefined {
    if (this.#inBlock) return this.#endBlock(line);
    if (this.#lines === undefined && line.trimStart().startsWith(fence)) {
      this.#inBlock = true;
      this.#lines = [];
      const first = line.trimStart().slice(fence.length);
      return first.trim() === '' ? undefined : this.#endBlock(first);
    }
    if (continued.test(line)) {
      this.#lines ??= [];
      this.#take(line.slice(0, -1));
      return undefined;
    }
    const text = [...(this.#lines ?? []), line].join('\n');
    this.clear();
    return { text, literal: false };
  }

  /** The messages that end in a text of several lines that came at once: one, unless blocks are in it. */
  pushText(text: string): Message[] {
    const blocks = this.#inBlock || (this.#lines === undefined && text.trimStart().startsWith(fence));
    return (blocks ? text.split('\n') : [text]).flatMap((line) => this.push(line) ?? []);
  }

  /** What there is of a message when no line follows. */
  flush(): Message | undefined {
    const message = this.#lines && { text: this.#lines.join('\n'), literal: this.#inBlock };
    this.clear();
    return message;
  }

  clear(): void {
    this.#lines = undefined;
    this.#inBlock = false;
    this.#length = 0;
  }

  #take(line: string): void {
    this.#lines?.push(line);
    this.#length += line.length + 1;
  }

  #endBlock(line: string): Message | undefined {
    const end = line.trimEnd();
    if (!end.endsWith(fence)) {
      this.#take(line);
      return undefined;
    }
    const last = end.slice(0, -fence.length);
    if (last.trim() !== '') this.#take(last);
    return this.flush();
  }
}
