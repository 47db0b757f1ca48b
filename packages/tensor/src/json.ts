// JSON as Python writes it, which is what configs of models are: NaN, Infinity and -Infinity may stand where a number may.
// One reader for every description that a stranger wrote (config.json, tokenizers, generation configs). What they mean,
// and that a number must be finite where one is read, is the caller's.
// Bounded: nesting is counted before anything is built, since a text of brackets takes many times its size.

/** Levels of lists and objects in a description, in YAML too. */
export const deepest = 200;

/** @throws SyntaxError for what neither JavaScript's nor Python's reader takes. */
export function parseJson(text: string): unknown {
  checkDepth(text);
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const rewritten = rewriteConstants(text);
    if (rewritten === undefined) throw error;
    return JSON.parse(rewritten.text, rewritten.hasNaN ? revive : undefined) as unknown;
  }
}

/**
 * JSON that says what it has no number for: NaN, Infinity and -Infinity become texts of these names, where JSON.stringify
 * writes null without a word. Every reader of JSON takes it, and sees that there is no figure.
 */
export function jsonText(value: unknown, indent?: number): string {
  const named = (_: string, part: unknown) =>
    typeof part === 'number' && !Number.isFinite(part) ? String(part) : part;
  return JSON.stringify(value, named, indent);
}

/** A list that no file holds by chance stands for NaN, which JSON has no number for; 1e999 is read as Infinity. */
const notANumber = '\u0000relufy: not a number';
const revive = (_: string, value: unknown): unknown =>
  Array.isArray(value) && value.length === 1 && value[0] === notANumber ? Number.NaN : value;

function rewriteConstants(text: string): { text: string; hasNaN: boolean } | undefined {
  const interesting = /["NI]/g;
  const pieces: string[] = [];
  let done = 0;
  let hasNaN = false;
  for (let found = interesting.exec(text); found; found = interesting.exec(text)) {
    const at = found.index;
    if (found[0] === '"') {
      const end = endOfString(text, at + 1);
      if (end < 0) return undefined;
      interesting.lastIndex = end;
      continue;
    }
    const word = found[0] === 'N' ? 'NaN' : 'Infinity';
    if (!text.startsWith(word, at) || /\w/.test(text[at + word.length] ?? '')) return undefined;
    hasNaN ||= word === 'NaN';
    pieces.push(text.slice(done, at), word === 'NaN' ? JSON.stringify([notANumber]) : '1e999');
    done = at + word.length;
    interesting.lastIndex = done;
  }
  if (pieces.length === 0) return undefined;
  return { text: pieces.join('') + text.slice(done), hasNaN };
}

/** After the closing quote, or -1. */
function endOfString(text: string, from: number): number {
  for (let at = from; ; ) {
    const quote = text.indexOf('"', at);
    if (quote < 0) return -1;
    let backslashes = 0;
    while (quote - 1 - backslashes >= from && text.charCodeAt(quote - 1 - backslashes) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

function checkDepth(text: string): void {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x22) {
      at = endOfString(text, at + 1) - 1;
      if (at < 0) return; // JSON.parse words it
    } else if (code === 0x5b || code === 0x7b) {
      if (++depth > deepest) throw new SyntaxError(`more than ${deepest} levels of lists and objects`);
    } else if (code === 0x5d || code === 0x7d) depth--;
  }
}
