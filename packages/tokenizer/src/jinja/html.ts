// Markup as markupsafe has it: what escaping writes, and how tags are taken out.
import { charge } from './budget.js';

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', "'": '&#39;', '"': '&#34;' };

export function escapeHtml(text: string): string {
  charge(text.length);
  return text.replaceAll(/[&<>'"]/g, (char) => entities[char]!);
}

const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

/** The entities that everybody writes; others stay as they are. */
function unescapeHtml(text: string): string {
  return text.replaceAll(/&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(\w+));/g, (all, decimal, hex, name) => {
    if (name !== undefined) return named[name as string] ?? all;
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
  });
}

/** Without comments and tags, and with one space where there was any space. */
export function stripTags(text: string): string {
  let out = without(text, '<!--', '-->');
  out = without(out, '<', '>');
  return unescapeHtml(out.trim().split(/\s+/u).join(' '));
}

function without(text: string, open: string, close: string): string {
  let out = '';
  let from = 0;
  for (let start = text.indexOf(open); start >= 0; start = text.indexOf(open, from)) {
    const end = text.indexOf(close, start);
    if (end < 0) break;
    out += text.slice(from, start);
    from = end + close.length;
  }
  return out + text.slice(from);
}
