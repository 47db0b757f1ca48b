// Markdown as a terminal shows it, while it is being written: headings, lists, quotes, rules, emphasis, code.
// What is certain goes out at once; a mark waits for its partner, at most to the end of its line, so that nothing is
// shown and taken back, and a mark without a partner stays the character that it is. Layout is the author's: spaces and
// line breaks are kept. (streaming-markdown 0.2.15 was tried: it takes the underscores of snake_case and the indentation
// of verses, and marks what is never closed; marked and its kin want the whole text.)
// Expects text without control characters (screen.ts). Does not own breaking lines (word-wrap.ts).

export interface Segment {
  readonly text: string;
  /** Not to be broken: code. */
  readonly verbatim?: boolean;
  /** Columns that the lines begin with into which this one is broken: those of a list. */
  readonly indent?: number;
}

const sgr = (open: number, close: number) => ({ open: `\u{1b}[${open}m`, close: `\u{1b}[${close}m` });
type Style = ReturnType<typeof sgr>;
const styles = {
  both: { open: '\u{1b}[1m\u{1b}[3m', close: '\u{1b}[23m\u{1b}[22m' },
  bold: sgr(1, 22),
  italic: sgr(3, 23),
  code: sgr(36, 39),
  dim: sgr(2, 22),
  none: { open: '', close: '' },
};

/** A partner that is farther away is none: until then nothing of it could be shown. */
const longestSpan = 400;

export class Markdown {
  /** Of the line that is being written: not shown yet. */
  #pending = '';
  #atStart = true;
  /** Of a heading or a quote. */
  #lineStyle: Style = styles.none;
  #fence: string | undefined;
  #last = '\n';
  #indent = 0;

  /** What can be shown by now. */
  push(text: string): Segment[] {
    const out: Segment[] = [];
    const parts = text.split('\n');
    for (const [i, part] of parts.entries()) {
      this.#pending += part;
      const ended = i + 1 < parts.length;
      if (this.#fence !== undefined) this.#code(out, ended);
      else this.#prose(out, ended);
    }
    return out;
  }

  /** The rest; the next text begins anew. */
  flush(): Segment[] {
    const out: Segment[] = [];
    if (this.#fence !== undefined) this.#code(out, true, false);
    else this.#prose(out, true, false);
    this.#fence = undefined;
    return out;
  }

  #prose(out: Segment[], ended: boolean, lineBreak = true): void {
    if (this.#atStart) {
      if (!ended && mayBecomeMark(this.#pending)) return;
      if (this.#begin(out, ended)) {
        this.#pending = '';
        return;
      }
    }
    const { shown, rest } = inline(this.#pending, this.#last, ended, this.#lineStyle);
    if (shown !== '') out.push({ text: shown, indent: this.#indent });
    this.#last = this.#pending.at(-rest.length - 1) ?? this.#last;
    this.#pending = rest;
    if (!ended) return;
    const close = this.#lineStyle.close;
    if (close !== '' || lineBreak) out.push({ text: `${close}${lineBreak ? '\n' : ''}` });
    this.#atStart = true;
    this.#lineStyle = styles.none;
    this.#last = '\n';
    this.#indent = 0;
  }

  /** What a line begins with. True: it is all of the line. */
  #begin(out: Segment[], ended: boolean): boolean {
    const line = this.#pending;
    if (line === '' && !ended) return false;
    const fence = /^ {0,3}(`{3,}|~{3,})[^`]*$/.exec(line)?.[1];
    if (fence !== undefined && ended) {
      this.#fence = fence;
      return true;
    }
    if (/^ {0,3}([-*_])(?: *\1){2,} *$/.test(line) && ended) {
      out.push({ text: `${styles.dim.open}${'─'.repeat(24)}${styles.dim.close}\n` });
      return true;
    }
    this.#atStart = false;
    const [mark = '', indent = '', sign = ''] = /^( *)(#{1,6} +|[-*+] +|\d{1,9}[.)] +|> ?)/.exec(line) ?? [];
    if (sign === '') return false;
    this.#pending = line.slice(mark.length);
    this.#last = ' ';
    if (sign.startsWith('#')) {
      this.#lineStyle = styles.bold;
      out.push({ text: styles.bold.open });
    } else if (sign.startsWith('>')) {
      this.#indent = indent.length + 2;
      out.push({ text: `${indent}${styles.dim.open}│${styles.dim.close} ` });
    } else {
      const shown = /^\d/.test(sign) ? sign : `•${sign.slice(1)}`;
      this.#indent = mark.length;
      out.push({ text: indent + shown });
    }
    return false;
  }

  #code(out: Segment[], ended: boolean, lineBreak = true): void {
    const line = this.#pending;
    const fence = this.#fence as string;
    const closing = new RegExp(`^ {0,3}\\${fence[0]}{${fence.length},}\\s*$`);
    // until it cannot be the end of the block any more
    if (!ended && /^ {0,3}([`~]*)\s*$/.test(line) && this.#atStart) return;
    if (ended && this.#atStart && closing.test(line)) {
      this.#fence = undefined;
      this.#pending = '';
      return;
    }
    if (line !== '') out.push({ text: `${styles.code.open}${line}${styles.code.close}`, verbatim: true });
    if (ended && lineBreak) out.push({ text: '\n', verbatim: true });
    this.#pending = '';
    this.#atStart = ended;
  }
}

/** Whether more text could make a heading, a list, a rule or a fence of what a line begins with. */
function mayBecomeMark(line: string): boolean {
  return (
    /^ *(?:#{0,6}|[-*+]|\d{1,9}[.)]?|>|#{1,6} +|[-*+] +|\d{1,9}[.)] +)$/.test(line) ||
    /^ {0,3}(?:(?:[-_*] *)+|`{1,2}|~{1,2}|`{3,}[^`]*|~{3,}.*)$/.test(line)
  );
}

const marks = /\*+|_+|`+/y;
const unmarked = /[^*_`\\]+/y;

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

/** Emphasis and code: what can be shown, and what has to wait. `before` is the character in front. */
function inline(text: string, before: string, ended: boolean, outer: Style): { shown: string; rest: string } {
  let shown = '';
  let [at, last] = [0, before];
  while (at < text.length) {
    const run = matchAt(marks, text, at);
    if (run === undefined) {
      const escaped = text[at] === '\\' ? text[at + 1] : undefined;
      if (text[at] === '\\' && escaped === undefined && !ended) break;
      if (escaped !== undefined && /[*_`#\\[\]()>+.!~-]/.test(escaped)) {
        shown += escaped;
        last = escaped;
        at += 2;
        continue;
      }
      const plain = matchAt(unmarked, text, at) ?? (text[at] as string);
      shown += plain;
      last = plain.at(-1) as string;
      at += plain.length;
      continue;
    }
    const span = spanAt(text, at, run, last, ended);
    if (span === 'waits') break;
    if (span === 'none') {
      shown += run;
      at += run.length;
    } else {
      const inner = span.style === styles.code ? span.inner : inline(span.inner, last, true, span.style).shown;
      shown += `${span.style.open}${inner}${span.style.close}${outer.open}`;
      at += span.length;
    }
    last = text[at - 1] as string;
  }
  return { shown, rest: text.slice(at) };
}

interface Span {
  readonly style: Style;
  readonly inner: string;
  readonly length: number;
}

/** A letter that makes a word with its neighbours; between words of these scripts there is no space. */
const letter = '(?![\\p{sc=Han}\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Hangul}])[\\p{L}\\p{N}]';
const isLetter = new RegExp(letter, 'u');

/** What a run of marks begins. */
function spanAt(text: string, at: number, run: string, before: string, ended: boolean): Span | 'waits' | 'none' {
  const behind = text.slice(at + run.length, at + run.length + longestSpan);
  const whole = ended || behind.length === longestSpan;
  if (behind === '') return ended ? 'none' : 'waits';
  // what follows the partner decides whether it is one: until it is known, all waits
  const known = whole ? '' : '(?=[^])';
  if (run[0] === '`') {
    if (run.length > 20) return 'none';
    // as many backticks as began it, and no more
    const close = new RegExp(`(?<!\`)\`{${run.length}}(?!\`)${known}`).exec(behind);
    if (close === null) return whole ? 'none' : 'waits';
    const inner = behind.slice(0, close.index);
    return {
      style: styles.code,
      inner: inner.trim() === '' ? inner : inner.replace(/^ (.*) $/, '$1'),
      length: 2 * run.length + inner.length,
    };
  }
  // emphasis begins before a word and not within one: 2 * 3, 5*3 and snake_case are what they are
  if (run.length > 3 || /^\s/.test(behind) || isLetter.test(before)) return 'none';
  const mark = run[0] === '*' ? '\\*' : '_';
  const close = new RegExp(`(?<![\\s${mark}])${mark}{${run.length}}(?!${mark}|${letter})${known}`, 'u').exec(behind);
  if (close === null) return whole ? 'none' : 'waits';
  const inner = behind.slice(0, close.index);
  const style = [styles.italic, styles.bold, styles.both][run.length - 1] ?? styles.none;
  return { style, inner, length: 2 * run.length + inner.length };
}
