// Colours and type of every chart and report, light and dark by the reader's own setting. A chart says its colours
// outright and changes them in one media query, so that programs without CSS variables or media queries show it in light.
// Series colours are told apart by people who see fewer colours too (after Okabe and Ito).

export const seriesCount = 8;

interface Colors {
  readonly paper: string;
  readonly ink: string;
  readonly faint: string;
  readonly grid: string;
  readonly series: readonly string[];
}

const light: Colors = {
  paper: '#ffffff',
  ink: '#1b1f24',
  faint: '#59636e',
  grid: '#d8dee4',
  series: ['#0072b2', '#d55e00', '#009e73', '#aa4499', '#b8860b', '#3a9ac9', '#882255', '#555555'],
};

const dark: Colors = {
  paper: '#12161c',
  ink: '#e6edf3',
  faint: '#9aa5b1',
  grid: '#313944',
  series: ['#56b4e9', '#f0883e', '#2fc79a', '#d98ad6', '#e6c84f', '#8ad0f5', '#e06c9f', '#b0b0b0'],
};

const inDark = (rules: string): string => `@media(prefers-color-scheme:dark){${rules}}`;

/** Own fonts are not sent along; these are what systems have. */
export const fontFamily = 'system-ui,-apple-system,"Segoe UI",Roboto,"Open Sans",sans-serif';

/** The colours of a page, as variables of its root. */
export const pageColors: string = (() => {
  const variables = ({ paper, ink, faint, grid }: Colors) =>
    `--paper:${paper};--ink:${ink};--faint:${faint};--grid:${grid}`;
  return `:root{color-scheme:light dark;${variables(light)}}${inDark(`:root{${variables(dark)}}`)}`;
})();

/** What the elements of a chart look like. */
export const chartStyle: string = (() => {
  const colored = ({ paper, ink, faint, grid, series }: Colors) =>
    [
      `.chart .paper{fill:${paper}}`,
      `.chart text{fill:${ink}}`,
      `.chart .faint{fill:${faint}}`,
      `.chart .grid{stroke:${grid}}`,
      `.chart .whisker{stroke:${ink}}`,
      `.chart .heat{fill:${series[0]}}`,
      ...series.map((color, at) => `.chart .s${at}{stroke:${color}}.chart .f${at}{fill:${color}}`),
    ].join('');
  return [
    `svg.chart{font:12px ${fontFamily}}`,
    '.chart .title{font-weight:600;font-size:13px}',
    '.chart .grid{stroke-width:1;shape-rendering:crispEdges}',
    '.chart .line{fill:none;stroke-width:1.75;stroke-linejoin:round}',
    '.chart .dashed{stroke-dasharray:5 4;stroke-width:1.25}',
    colored(light),
    inDark(colored(dark)),
  ].join('');
})();
