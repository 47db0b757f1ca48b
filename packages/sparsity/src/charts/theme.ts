// Colours and type of every chart and report: light and dark by the reader's own setting, in one style sheet that single
// SVG files carry along. Series colours are told apart by people who see fewer colours too (after Okabe and Ito).

export const seriesCount = 8;

const light = ['#0072b2', '#d55e00', '#009e73', '#aa4499', '#b8860b', '#3a9ac9', '#882255', '#555555'];
const dark = ['#56b4e9', '#f0883e', '#2fc79a', '#d98ad6', '#e6c84f', '#8ad0f5', '#e06c9f', '#b0b0b0'];

const variables = (colors: readonly string[], paper: string, ink: string, faint: string, grid: string): string =>
  [
    `--paper:${paper};--ink:${ink};--faint:${faint};--grid:${grid}`,
    ...colors.map((color, i) => `--c${i}:${color}`),
  ].join(';');

const lightVariables = variables(light, '#ffffff', '#1b1f24', '#59636e', '#d8dee4');
const darkVariables = variables(dark, '#12161c', '#e6edf3', '#9aa5b1', '#313944');

/** `selector` gets the colours. */
export function themeVariables(selector: string): string {
  return `${selector}{color-scheme:light dark;${lightVariables}}@media(prefers-color-scheme:dark){${selector}{${darkVariables}}}`;
}

/** What the elements of a chart look like. */
export const chartStyle = [
  'svg.chart{font:12px system-ui,sans-serif;background:var(--paper)}',
  '.chart text{fill:var(--ink)}',
  '.chart .faint,.chart .tick text{fill:var(--faint)}',
  '.chart .title{font-weight:600;font-size:13px}',
  '.chart .grid{stroke:var(--grid);stroke-width:1;shape-rendering:crispEdges}',
  '.chart .line{fill:none;stroke-width:1.75;stroke-linejoin:round}',
  '.chart .dashed{stroke-dasharray:5 4;stroke-width:1.25}',
  '.chart .heat{fill:var(--c0)}',
  ...Array.from(
    { length: seriesCount },
    (_, i) => `.chart .s${i}{stroke:var(--c${i})}.chart .f${i}{fill:var(--c${i})}`,
  ),
].join('');
