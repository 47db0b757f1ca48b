// What calibrations cost, as charts and a page: perplexity over the share of weights that are skipped, and where each layer
// reads less. Does not own how charts look (@relufy/sparsity).
import { type Line, lineChart, page, tableHtml } from '@relufy/charts';

/** Plans of one method, of several sparsities. */
export interface CalibrationCurve {
  readonly name: string;
  readonly points: readonly {
    readonly sparsity: number;
    readonly perplexity: number;
    /** Share of the weights read, by site, a layer each. */
    readonly layers?: Readonly<Record<string, readonly number[]>>;
  }[];
}

/** Beyond this factor over the dense model a method has lost, and others could no longer be told apart. */
const mostOfDense = 3;

/** Perplexity over skipped weights, one line a method; points far above the dense model's are left out. */
export function perplexityChart(curves: readonly CalibrationCurve[], dense: number): string {
  const lines = curves.map(({ name, points }): Line => {
    const shown = points.filter(({ perplexity }) => perplexity <= mostOfDense * dense);
    return {
      name,
      dots: true,
      points: [[0, dense], ...shown.map((one) => [100 * one.sparsity, one.perplexity] as const)],
    };
  });
  const highest = Math.max(dense, ...lines.flatMap(({ points }) => points.map(([, y]) => y)));
  return lineChart({
    ...{
      title: 'Perplexity over skipped weights',
      x: 'weight bytes of the blocks that are skipped, %',
      y: 'perplexity',
    },
    see: `Lower is better. Points above ${mostOfDense} times the dense model's ${dense.toFixed(2)} are left out.`,
    lines,
    yDomain: [0.95 * dense, 1.02 * highest],
  });
}

/** What one plan reads of each layer's weights, by site. */
export function layersChart(title: string, layers: Readonly<Record<string, readonly number[]>>): string {
  const lines = Object.entries(layers).map(
    ([name, shares]): Line => ({
      name,
      dots: true,
      points: shares.map((share, layer) => [layer, 100 * share] as const),
    }),
  );
  return lineChart({ title, x: 'layer', y: 'weights read, %', lines, yDomain: [0, 100] });
}

/** A whole page, with nothing beside it. */
export function calibrationPage(title: string, curves: readonly CalibrationCurve[], dense: number): string {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const rows = curves.flatMap(({ name, points }) =>
    points.map(({ sparsity, perplexity }) => [
      name,
      percent(sparsity),
      perplexity.toFixed(2),
      percent(perplexity / dense - 1),
    ]),
  );
  const profiles = curves.flatMap(({ name, points }) =>
    points.flatMap(({ sparsity, layers }) => (layers ? [layersChart(`${name}, ${percent(sparsity)}`, layers)] : [])),
  );
  return page(title, [
    {
      title: 'Perplexity',
      charts: [perplexityChart(curves, dense)],
      html: tableHtml({ head: ['method', 'skipped', 'perplexity', `above the dense ${dense.toFixed(2)}`], rows }),
    },
    ...(profiles.length > 0 ? [{ title: 'Layer by layer', charts: profiles }] : []),
  ]);
}
