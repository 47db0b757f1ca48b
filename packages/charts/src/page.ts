// One self-contained HTML page of tables and charts: no script, no font, no address. Does not own what they show.
import { escapeText } from './frame.js';
import { fontFamily, pageColors } from './theme.js';

export interface PageTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface PageSection {
  readonly title: string;
  readonly charts?: readonly string[];
  /** Ready HTML, below the charts. */
  readonly html?: string;
}

const style = `${pageColors}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 ${fontFamily}}
main{max-width:1100px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:22px;line-height:1.25}h2{font-size:17px;margin:36px 0 12px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:16px}
.charts svg{width:100%;height:auto;border:1px solid var(--grid);border-radius:8px}
.table{overflow-x:auto;margin-top:16px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:13.5px}
th,td{padding:5px 12px 5px 0;border-bottom:1px solid var(--grid);text-align:left;vertical-align:top}
th{color:var(--faint);font-weight:600}.number{text-align:right}
footer{margin-top:40px;color:var(--faint);font-size:13px}`;

const startsWithNumber = /^[−+<-]? ?\.?\d/;

/** Columns of numbers are set to the right. */
export function tableHtml({ head, rows }: PageTable): string {
  const isNumber = head.map((_, at) => rows.every((row) => row[at] === '' || startsWithNumber.test(row[at] ?? '')));
  const cells = (tag: string, texts: readonly string[]) =>
    `<tr>${texts.map((text, at) => `<${tag}${isNumber[at] ? ' class="number"' : ''}>${escapeText(text)}</${tag}>`).join('')}</tr>`;
  return `<div class="table"><table><thead>${cells('th', head)}</thead><tbody>${rows.map((row) => cells('td', row)).join('')}</tbody></table></div>`;
}

/** A sentence below a table. */
export const noteHtml = (text: string): string => `<p>${escapeText(text)}</p>`;

export function page(title: string, sections: readonly PageSection[], note = 'Made by Relufy.'): string {
  const body = sections.map(
    ({ title: heading, charts = [], html = '' }) =>
      `<section><h2>${escapeText(heading)}</h2>${charts.length > 0 ? `<div class="charts">${charts.join('\n')}</div>` : ''}${html}</section>`,
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeText(title)}</title><style>${style}</style></head>
<body><main><h1>${escapeText(title)}</h1>
${body.join('\n')}
<footer>${escapeText(note)}</footer></main></body></html>
`;
}
