// GPT-2's table of 256 printable characters, one for each byte, in both directions.
// Only the table: who splits text and who joins tokens is in pre-tokenizer.ts and decoder.ts.

const charOf: string[] = [];
const byteOf = new Map<string, number>();

// Printable Latin-1 stands for itself; the other 68 bytes move to U+0100 and up, in order.
for (let byte = 0, moved = 0; byte < 256; byte++) {
  const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
  const char = String.fromCharCode(printable ? byte : 256 + moved++);
  charOf.push(char);
  byteOf.set(char, byte);
}

const encoder = new TextEncoder();

/** The text's UTF-8 bytes, each as its character. */
export function toByteChars(text: string): string {
  const bytes = encoder.encode(text);
  let chars = '';
  for (let i = 0; i < bytes.length; i++) chars += charOf[bytes[i]!];
  return chars;
}

/** The bytes a token stands for; a token with any character outside the table stands for its own UTF-8. */
export function fromByteChars(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOf.get(token[i]!);
    if (byte === undefined) return encoder.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}
