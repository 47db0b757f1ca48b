// The results as one SVG: decoded tokens a second, a panel a group, a bar an engine with its spread, and what one pass
// over its weights at the measured streaming speed would give. Light and dark by the reader's own setting.
import { median } from './statistics.mjs';

const [width, left, right, barHeight, gap] = [860, 190, 150, 18, 6];
const panelGap = 58;

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .small { font-size: 11px; fill: #59636e; }
  .rival { fill: #8c959f; } .dense { fill: #54aeff; } .sparse { fill: #1a7f37; }
  .range { stroke: #1f2328; stroke-width: 1.5; } .roof { stroke: #bc4c00; stroke-width: 2; }
  .ground { fill: #ffffff; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .small { fill: #9198a1; } .ground { fill: #0d1117; }
    .rival { fill: #6e7681; } .dense { fill: #388bfd; } .sparse { fill: #3fb950; }
    .range { stroke: #f0f6fc; } .roof { stroke: #f0883e; }
  }`;

const asText = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** @param {import('./turns.mjs').GroupResult[]} groups @param {string} caption */
export function toSvg(groups, caption) {
  const panels = groups.filter(({ results }) => results.some(({ samples }) => samples.decode.length > 0));
  let y = 52;
  const parts = [];
  for (const outcome of panels) {
    parts.push(...panel(outcome, y));
    y += panelGap + outcome.results.length * (barHeight + gap);
  }
  const key = [
    ['rival', 'llama.cpp, PowerInfer'],
    ['dense', 'Relufy, dense'],
    ['sparse', 'Relufy, exact sparse'],
  ];
  const legend = key.flatMap(([name, text], i) => [
    `<rect class="${name}" x="${left + i * 165}" y="30" width="12" height="12"/>`,
    `<text class="small" x="${left + 17 + i * 165}" y="40">${text}</text>`,
  ]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">`,
    `<title>Decoded tokens a second</title><style>${style}</style>`,
    `<rect class="ground" width="${width}" height="${y}"/>`,
    `<text class="small" x="12" y="18">${asText(caption)}</text>`,
    ...legend,
    `<line class="roof" x1="${left + 500}" y1="30" x2="${left + 500}" y2="42"/>`,
    `<text class="small" x="${left + 507}" y="40">streaming speed</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}

function panel({ group, results, streaming }, top) {
  const rows = results.filter(({ samples }) => samples.decode.length > 0);
  const roofOf = ({ name, bytesPerToken }) => {
    const values = streaming[name.startsWith('wasm') ? 'wasm' : 'native'] ?? streaming.wasm;
    return values && bytesPerToken ? (median(values) * 1e9) / bytesPerToken : undefined;
  };
  const largest = Math.max(...rows.flatMap((row) => [...row.samples.decode, roofOf(row) ?? 0]));
  const scale = (value) => ((width - left - right) * value) / largest;
  const parts = [`<text class="title" x="12" y="${top + 22}">${asText(group.title)}: decoded tokens/s</text>`];
  rows.forEach((row, i) => {
    const y = top + 34 + i * (barHeight + gap);
    const { decode } = row.samples;
    const value = median(decode);
    const middle = y + barHeight / 2;
    const kind = row.density ? (row.density.some((share) => share < 1) ? 'sparse' : 'dense') : 'rival';
    const roof = roofOf(row);
    const end = left + Math.max(scale(Math.max(...decode)), roof === undefined ? 0 : scale(roof));
    parts.push(
      `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${asText(row.name)}</text>`,
      `<rect class="${kind}" x="${left}" y="${y}" width="${scale(value).toFixed(1)}" height="${barHeight}" rx="2"/>`,
      `<line class="range" x1="${(left + scale(Math.min(...decode))).toFixed(1)}" y1="${middle}" x2="${(left + scale(Math.max(...decode))).toFixed(1)}" y2="${middle}"/>`,
      ...(roof === undefined
        ? []
        : [
            `<line class="roof" x1="${(left + scale(roof)).toFixed(1)}" y1="${y}" x2="${(left + scale(roof)).toFixed(1)}" y2="${y + barHeight}"/>`,
          ]),
      `<text x="${(end + 8).toFixed(1)}" y="${middle + 4}">${value.toFixed(1)}</text>`,
    );
  });
  return parts;
}
