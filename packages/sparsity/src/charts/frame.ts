// What all charts share: scales with round ticks, axes, title, legend, escaping. Does not own marks (line, bars, heat map).
import { chartStyle, seriesCount, themeVariables } from './theme.js';

export interface ChartText {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** One sentence for readers that cannot see the chart. */
  readonly description?: string;
}

export interface Scale {
  readonly domain: readonly [low: number, high: number];
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
}

export const size = { width: 520, height: 300, left: 56, right: 16, top: 34, bottom: 44 } as const;

export const escapeText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Three digits at most, without a tail of zeros. */
export function tickText(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return Number(value.toPrecision(3)).toExponential().replace('e+', 'e');
  return String(Number(value.toPrecision(3)));
}

/** Points of a drawing, short. */
export const n = (value: number): string => String(Math.round(value * 10) / 10);

export function linearScale(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const [low, high] = domain[0] === domain[1] ? [domain[0] - 0.5, domain[1] + 0.5] : domain;
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
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
  // what is compared against comes last
  return [...entries.filter(({ dashed }) => !dashed), ...entries.filter(({ dashed }) => dashed)].map((entry) => {
    const width = 30 + entry.name.length * 6.9;
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

function axes({ x, y }: ChartText, xAxis: Scale, yAxis: Scale): string {
  const { width, height, left, right, bottom } = size;
  const floor = height - bottom;
  const horizontal = yAxis.ticks.map(
    (tick) =>
      `<path class="grid" d="M${left} ${n(yAxis.at(tick))}H${width - right}"/><text x="${left - 6}" y="${n(yAxis.at(tick) + 4)}" text-anchor="end" class="faint">${tickText(tick)}</text>`,
  );
  const vertical = xAxis.ticks.map(
    (tick) =>
      `<path class="grid" d="M${n(xAxis.at(tick))} ${floor}v4"/><text x="${n(xAxis.at(tick))}" y="${floor + 17}" text-anchor="middle" class="faint">${tickText(tick)}</text>`,
  );
  const middle = (yAxis.at(yAxis.domain[0]) + yAxis.at(yAxis.domain[1])) / 2;
  return [
    ...horizontal,
    ...vertical,
    `<text x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle">${escapeText(x)}</text>`,
    `<text transform="translate(14 ${n(middle)}) rotate(-90)" text-anchor="middle">${escapeText(y)}</text>`,
  ].join('');
}

/** A whole SVG, that can stand in a page or be a file. */
export function chartSvg(
  text: ChartText,
  scales: { readonly x: Scale; readonly y: Scale },
  marks: string,
  entries: readonly LegendEntry[] = [],
): string {
  const { width, height } = size;
  const label = escapeText(text.description ?? `${text.title}: ${text.y} over ${text.x}`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${label}">`,
    `<style>${themeVariables('svg.chart')}${chartStyle}</style>`,
    `<text x="${size.left}" y="18" class="title">${escapeText(text.title)}</text>`,
    axes(text, scales.x, scales.y),
    marks,
    legend(entries),
    '</svg>',
  ].join('');
}
