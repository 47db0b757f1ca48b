// The charts: lines, bars with intervals, and a heat map, each a whole SVG text. Does not own axes and legends (frame.ts).
import {
  type ChartText,
  chartSvg,
  emptyMark,
  escapeText,
  fromZero,
  type LegendEntry,
  legendRows,
  letterWidth,
  n,
  type Scale,
  size,
  xScale,
  yScale,
} from './frame.js';
import { clipped, tickText } from './labels.js';
import { seriesCount } from './theme.js';

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** A spread around the line, shaded. */
  readonly band?: readonly (readonly [x: number, low: number, high: number])[];
  /** For what is compared against. */
  readonly dashed?: boolean;
  /** Each point is marked: for few points, or for one. */
  readonly dots?: boolean;
  /** Lines of one colour belong together; default: the line's number. */
  readonly color?: number;
  readonly inLegend?: boolean;
}

function extent(values: Iterable<number>): [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low > high ? [0, 1] : [low, high];
}

export interface LineChart extends ChartText {
  readonly lines: readonly Line[];
  /** Default: zero to the largest value. */
  readonly yDomain?: readonly [number, number];
  /** Default: from the smallest to the largest value. */
  readonly xDomain?: readonly [number, number];
  /** Powers of this at equal distances. */
  readonly xLog?: 2 | 10;
}

export function lineChart({ lines, yDomain, xDomain, xLog, ...text }: LineChart): string {
  if (xLog) {
    const power = xLog === 2 ? Math.log2 : Math.log10;
    const turned = lines.map((line) => ({ ...line, points: line.points.map(([x, y]) => [power(x), y] as const) }));
    return drawLines(turned, text, yDomain, xDomain, (tick) => tickText(xLog ** tick));
  }
  return drawLines(lines, text, yDomain, xDomain);
}

function drawLines(
  given: readonly Line[],
  text: ChartText,
  yDomain: LineChart['yDomain'],
  xDomain: LineChart['xDomain'],
  say?: Scale['say'],
): string {
  // zero has no place on a logarithmic axis, nor has what was not measured on any
  const lines = given.map((line) => ({ ...line, points: line.points.filter((point) => point.every(Number.isFinite)) }));
  const entries: LegendEntry[] = lines.flatMap(({ name, points, dashed = false, color, inLegend = true }, at) =>
    inLegend
      ? [
          {
            name: points.length > 0 ? name : `${name} (nothing to show)`,
            dashed: dashed || isAgain(color ?? at),
            color: color ?? at,
          },
        ]
      : [],
  );
  const all = lines.flatMap(({ points }) => points);
  const [, top] = extent([
    ...all.map(([, y]) => y),
    ...lines.flatMap(({ band = [] }) => band.map(([, , high]) => high)),
  ]);
  const x = wholeTicks(
    xScale(xDomain ?? extent(all.map(([value]) => value))),
    say !== undefined || all.every(([value]) => Number.isInteger(value)),
  );
  const y = yScale(yDomain ?? fromZero(top), legendRows(entries));
  const marks = lines.map(({ name, points, band, dashed, dots, color }, at) => {
    const path = points.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${n(x.at(px))} ${n(y.at(py))}`).join('');
    const series = (color ?? at) % seriesCount;
    const title = `<title>${escapeText(name)}</title>`;
    // a single point has no line
    const look = isAgain(color ?? at) ? `class="s${series}" fill="none" stroke-width="2"` : `class="f${series}"`;
    const circles = (dots || points.length === 1 ? points : []).map(
      ([px, py]) => `<circle ${look} cx="${n(x.at(px))}" cy="${n(y.at(py))}" r="4">${title}</circle>`,
    );
    const line = `<path class="line s${series}${dashed || isAgain(color ?? at) ? ' dashed' : ''}" d="${path}">${title}</path>`;
    return `${band ? bandPath(band, series, x, y) : ''}${line}${circles.join('')}`;
  });
  const drawn = all.length > 0 ? marks.join('') : emptyMark(nothing);
  return chartSvg(text, { x: say ? { ...x, say } : x, y, marks: drawn, legend: entries });
}

/** Colours begin again: hollow and dashed, so that no two lines look alike. */
const isAgain = (color: number): boolean => color >= seriesCount;

const nothing = 'nothing to show';

/** There is no layer 1.5. */
const wholeTicks = (scale: Scale, whole: boolean): Scale =>
  whole ? { ...scale, ticks: scale.ticks.filter((tick) => Number.isInteger(tick)) } : scale;

function bandPath(band: NonNullable<Line['band']>, series: number, x: Scale, y: Scale): string {
  const inside = (value: number) => n(y.at(Math.min(y.domain[1], Math.max(y.domain[0], value))));
  const upper = band.map(([at, , high]) => `${n(x.at(at))} ${inside(high)}`);
  const lower = band.map(([at, low]) => `${n(x.at(at))} ${inside(low)}`).reverse();
  return `<path class="f${series}" fill-opacity="0.15" d="M${[...upper, ...lower].join('L')}z"/>`;
}

export interface Bar {
  readonly value: number;
  /** Drawn as a whisker. */
  readonly interval?: readonly [low: number, high: number];
}

export interface BarChart extends ChartText {
  /** One group of bars a label. */
  readonly labels: readonly string[];
  readonly series: readonly { readonly name: string; readonly bars: readonly (Bar | undefined)[] }[];
  readonly yDomain?: readonly [number, number];
}

export function barChart({ labels, series, yDomain, ...text }: BarChart): string {
  const entries = series.map(({ name }, color) => ({ name, color }));
  const [, top] = extent(series.flatMap(({ bars }) => bars.map((bar) => bar?.interval?.[1] ?? bar?.value ?? 0)));
  const scale = xScale([-0.5, labels.length - 0.5]);
  const y = yScale(yDomain ?? fromZero(top), legendRows(entries));
  const slot = scale.at(1) - scale.at(0);
  const width = (slot * 0.8) / series.length;
  const marks = series.flatMap(({ name, bars }, at) =>
    bars.map((bar, label) => {
      const left = scale.at(label) - slot * 0.4 + at * width;
      const floor = y.at(y.domain[0]);
      // what is zero, and what was not measured, says so where there is room
      const say = (sign: string) =>
        width < letterWidth
          ? ''
          : `<text x="${n(left + width * 0.46)}" y="${n(floor - 5)}" text-anchor="middle" class="faint">${sign}</text>`;
      if (bar === undefined || !Number.isFinite(bar.value)) return say('–');
      if (bar.value === 0 && !bar.interval?.some((end) => end !== 0))
        return `<path class="line s${at % seriesCount}" d="M${n(left)} ${n(floor - 1)}h${n(width * 0.92)}"><title>${escapeText(`${name}, ${labels[label]}: 0`)}</title></path>${say('0')}`;
      const rect = `<rect class="f${at % seriesCount}" x="${n(left)}" y="${n(y.at(bar.value))}" width="${n(width * 0.92)}" height="${n(Math.max(0, y.at(y.domain[0]) - y.at(bar.value)))}"><title>${escapeText(`${name}, ${labels[label]}: ${tickText(bar.value)}`)}</title></rect>`;
      if (bar.interval === undefined) return rect;
      const middle = n(left + width * 0.46);
      const [low, high] = bar.interval.map((value) => n(y.at(value)));
      return `${rect}<path class="whisker" d="M${middle} ${low}V${high}"/>`;
    }),
  );
  const isEmpty = !series.some(({ bars }) => bars.some((bar) => bar && Number.isFinite(bar.value)));
  const below = barLabels(labels, scale, slot);
  return chartSvg(text, {
    x: { ...scale, ticks: [] },
    y,
    marks: [...(isEmpty ? [emptyMark(nothing)] : marks), below.svg].join(''),
    legend: entries,
    labelRoom: below.room,
  });
}

const longestLabel = 26;

/** Upright where they fit. Numbers can be guessed, so some are left out; names are turned. */
function barLabels(labels: readonly string[], scale: Scale, slot: number): { svg: string; room: number } {
  const texts = labels.map((label) => clipped(label, longestLabel));
  const longest = Math.max(0, ...texts.map(({ length }) => length));
  const fits = (longest + 1.5) * letterWidth <= slot;
  const numbers = labels.every((label) => Number.isFinite(Number(label)));
  const turned = !fits && !numbers;
  // at 45 degrees the first label must not leave the picture
  const angle = turned && (longest * letterWidth * Math.SQRT1_2 > scale.at(0) || slot < 20) ? 90 : 45;
  const every = Math.max(1, Math.ceil((turned ? 14 : (longest + 1.5) * letterWidth) / slot));
  const svg = texts.map((label, at) => {
    if (!fits && at % every !== 0) return '';
    const x = n(scale.at(at));
    const place = turned
      ? `transform="translate(${n(scale.at(at) + 4)} ${size.height - size.bottom + 12}) rotate(-${angle})" text-anchor="end"`
      : `x="${x}" y="${size.height - size.bottom + 17}" text-anchor="middle"`;
    return `<text ${place} class="faint">${escapeText(label)}</text>`;
  });
  const room = turned ? Math.ceil(longest * letterWidth * Math.sin((angle * Math.PI) / 180)) - 12 : 0;
  return { svg: svg.join(''), room: Math.max(0, room) };
}

export interface HeatMap extends ChartText {
  /** [row][column], drawn from the bottom up. */
  readonly rows: readonly (readonly number[])[];
}

/** Steps of colour; the legend names both ends. */
const shades = 12;

export function heatMap({ rows, ...text }: HeatMap): string {
  const columns = Math.max(1, ...rows.map(({ length }) => length));
  const [low, high] = extent(rows.flat());
  const x = xScale([0, columns]);
  const y = yScale([-0.5, rows.length - 0.5], 1);
  const [width, height] = [x.at(1) - x.at(0), y.at(0) - y.at(1)];
  const paths = Array.from({ length: shades }, () => '');
  for (const [row, values] of rows.entries())
    for (const [column, value] of values.entries()) {
      // of equal values, all are the strongest or all are zero
      const share = low === high ? Math.min(1, Math.abs(low)) : (value - low) / (high - low);
      if (!Number.isFinite(share)) continue;
      const shade = Math.min(shades - 1, Math.floor(share * shades));
      const corner = `M${n(x.at(column))} ${n(y.at(row + 0.5))}`;
      paths[shade] += `${corner}h${n(width + 0.3)}v${n(height + 0.3)}h-${n(width + 0.3)}z`;
    }
  const strength = (shade: number) => (0.06 + (0.94 * shade) / (shades - 1)).toFixed(2);
  const marks = paths.map((path, at) =>
    path ? `<path class="heat" fill-opacity="${strength(at)}" d="${path}"/>` : '',
  );
  const scaleBar = paths.map(
    (_, at) => `<path class="heat" fill-opacity="${strength(at)}" d="M${340 + at * 8} 26h8v8h-8z"/>`,
  );
  const everywhere = `<text x="504" y="34" text-anchor="end" class="faint">${tickText(low)} everywhere</text>`;
  const ends = `<text x="334" y="34" text-anchor="end" class="faint">${tickText(low)}</text><text x="${340 + shades * 8 + 6}" y="34" class="faint">${tickText(high)}</text>`;
  const isEmpty = !rows.some((values) => values.some(Number.isFinite));
  const legend = low === high ? [everywhere] : [...scaleBar, ends];
  // no grid behind the shades
  const paper = `<path class="paper" d="M${size.left} ${n(y.at(rows.length - 0.5))}H${size.width - size.right}V${n(y.at(-0.5))}H${size.left}z"/>`;
  return chartSvg(text, {
    x: wholeTicks(x, true),
    y: wholeTicks(y, true),
    marks: [paper, ...(isEmpty ? [emptyMark(nothing)] : [...marks, ...legend])].join(''),
  });
}
