// Two values of chats that templates take in more than one way: arguments of tool calls that came as JSON text, and
// content that came in parts. Both are text where a template takes text, and have members where it asks for members.
import { type Dict, Text, type Value } from './values.js';

/**
 * The arguments of a tool call as a model wrote them. They are a string: they print, join and test as one. `items`,
 * members and `tojson`, which make no sense of the string, take the object that it spells out.
 */
export class JsonText extends Text {
  readonly typeName = 'str';
  constructor(
    text: string,
    readonly parsed: Dict,
  ) {
    super(text);
  }
  override structure(): Value {
    return this.parsed;
  }
  override length(): number {
    return this.parsed.length();
  }
}

/** The content of a message in parts: a list, and where a template takes text, the texts of the parts in one. */
export class Parts extends Text {
  readonly typeName = 'list';
  /** Whether the template has looked at a part. */
  taken = false;
  constructor(
    text: string,
    readonly parts: Value[],
  ) {
    super(text);
  }
  override structure(): Value {
    this.taken = true;
    return this.parts;
  }
  override length(): number {
    return this.parts.length;
  }
  override truth(): boolean {
    return this.parts.length > 0;
  }
}
