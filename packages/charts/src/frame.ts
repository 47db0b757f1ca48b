// What all charts share: scales with round ticks, axes, title, legend, escaping. Does not own marks (marks.ts: line, bars,
// heat map) nor the wording of names and numbers (labels.ts).
import { clipped, tickText } from './labels.js';
import { chartStyle, seriesCount } from './theme.js';

export interface ChartText {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** One line below the chart: what there is to see in it. Readers that cannot see it get it too. */
  readonly see?: string;
}

export interface Scale {
  readonly domain: readonly [low: number, high: number];
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
  /** What a tick says; default: its number. */
  readonly say?: (tick: number) => string;
}

export const size = { width: 520, height: 300, left: 56, right: 16, top: 34, bottom: 44 } as const;

export const escapeText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Points of a drawing, short. */
export const n = (value: number): string => String(Math.round(value * 10) / 10);

/** Round, for some five ticks. */
function tickStep(low: number, high: number): number {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
}

/** From zero to the first tick at or above a value. */
export function fromZero(top: number): [number, number] {
  const step = tickStep(0, top || 1);
  return [0, Math.ceil((top || 1) / step - 1e-9) * step];
}

export function linearScale(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const [low, high] = domain[0] === domain[1] ? [domain[0] - 0.5, domain[1] + 0.5] : domain;
  const step = tickStep(low, high);
  const ticks: number[] = [];
  for (let tick = Math.ceil(low / step); tick * step <= high + step * 1e-9; tick++) ticks.push(tick * step);
  return {
    domain: [low, high],
    ticks,
    at: (value) => range[0] + ((value - low) / (high - low)) * (range[1] - range[0]),
  };
}

export const xScale = (domain: readonly [number, number]): Scale =>
  linearScale(domain, [size.left, size.width - size.right]);

export const yScale = (domain: readonly [number, number], legendRows = 0): Scale =>
  linearScale(domain, [size.height - size.bottom, size.top + legendRows * 16]);

/** A letter is this wide on the whole, in the wider of the fonts that systems have. */
export const letterWidth = 6.5;

export interface LegendEntry {
  readonly name: string;
  readonly color: number;
  readonly dashed?: boolean;
}

/** How many rows a legend takes. */
export function legendRows(entries: readonly LegendEntry[]): number {
  return entries.length < 2 ? 0 : placeLegend(entries).at(-1)!.row + 1;
}

function placeLegend(entries: readonly LegendEntry[]): { x: number; row: number; entry: LegendEntry }[] {
  let [x, row] = [size.left as number, 0];
  const most = Math.floor((size.width - size.left - 24) / letterWidth);
  // what is compared against comes last
  return [...entries.filter(({ dashed }) => !dashed), ...entries.filter(({ dashed }) => dashed)].map((whole) => {
    const entry = { ...whole, name: clipped(whole.name, most) };
    const width = 27 + entry.name.length * letterWidth;
    if (x + width > size.width && x > size.left) [x, row] = [size.left, row + 1];
    const placed = { x, row, entry };
    x += width;
    return placed;
  });
}

function legend(entries: readonly LegendEntry[]): string {
  if (entries.length < 2) return '';
  return placeLegend(entries)
    .map(({ x, row, entry: { name, color, dashed } }) => {
      const y = size.top - 2 + row * 16;
      const line = `<path class="line s${color % seriesCount}${dashed ? ' dashed' : ''}" d="M${n(x)} ${y}h16"/>`;
      return `${line}<text x="${n(x + 20)}" y="${y + 4}">${escapeText(name)}</text>`;
    })
    .join('');
}

function axes({ x, y }: ChartText, xAxis: Scale, yAxis: Scale, labelRoom: number): string {
  const { width, height, left, right, bottom } = size;
  const floor = height - bottom;
  const horizontal = yAxis.ticks.map(
    (tick) =>
      `<path class="grid" d="M${left} ${n(yAxis.at(tick))}H${width - right}"/><text x="${left - 6}" y="${n(yAxis.at(tick) + 4)}" text-anchor="end" class="faint">${tickText(tick)}</text>`,
  );
  const vertical = xAxis.ticks.map(
    (tick) =>
      `<path class="grid" d="M${n(xAxis.at(tick))} ${floor}v4"/><text x="${n(xAxis.at(tick))}" y="${floor + 17}" text-anchor="middle" class="faint">${(xAxis.say ?? tickText)(tick)}</text>`,
  );
  const middle = (yAxis.at(yAxis.domain[0]) + yAxis.at(yAxis.domain[1])) / 2;
  return [
    ...horizontal,
    ...vertical,
    `<text x="${(left + width - right) / 2}" y="${height + labelRoom - 8}" text-anchor="middle">${escapeText(x)}</text>`,
    `<text transform="translate(14 ${n(middle)}) rotate(-90)" text-anchor="middle">${escapeText(y)}</text>`,
  ].join('');
}

export interface ChartParts {
  readonly x: Scale;
  readonly y: Scale;
  readonly marks: string;
  readonly legend?: readonly LegendEntry[];
  /** More height below the axis, for long labels. */
  readonly labelRoom?: number;
}

/** Instead of marks, where there are none: an empty chart is not a broken one. */
export const emptyMark = (text: string): string =>
  `<text x="${(size.left + size.width - size.right) / 2}" y="${(size.top + size.height - size.bottom) / 2}" text-anchor="middle" class="faint">${escapeText(text)}</text>`;

const rowHeight = 16;

/** Words in rows that fit below a chart. */
function rowsOf(text: string): string[] {
  const most = Math.floor((size.width - 2 * size.right) / letterWidth);
  const rows: string[] = [];
  for (const word of text.split(' ')) {
    const row = rows.at(-1);
    if (row !== undefined && row.length + 1 + word.length <= most) rows[rows.length - 1] = `${row} ${word}`;
    else rows.push(word);
  }
  return rows;
}

/** A whole SVG, that can stand in a page or be a file. */
export function chartSvg(text: ChartText, { x, y, marks, legend: entries = [], labelRoom = 0 }: ChartParts): string {
  const { width } = size;
  const rows = text.see ? rowsOf(text.see) : [];
  const height = size.height + labelRoom + (rows.length > 0 ? rowHeight * rows.length + 10 : 0);
  const label = escapeText(
    `${text.title}: ${text.y}${text.x ? ` over ${text.x}` : ''}.${text.see ? ` ${text.see}` : ''}`,
  );
  const below = rows.map(
    (row, at) =>
      `<text x="${size.right}" y="${size.height + labelRoom + 12 + rowHeight * at}" class="faint">${escapeText(row)}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${label}">`,
    `<style>${chartStyle}</style>`,
    `<path class="paper" d="M0 0h${width}v${height}h-${width}z"/>`,
    `<text x="${size.left}" y="18" class="title">${escapeText(text.title)}</text>`,
    axes(text, x, y, labelRoom),
    marks,
    legend(entries),
    ...below,
    '</svg>',
  ].join('');
}
