// The loss curve of a run as an SVG: training loss, smoothed, and validation loss over steps. Does not own the numbers.

export interface CurvePoint {
  readonly step: number;
  readonly loss: number;
  readonly validationLoss?: number;
}

const [width, height, margin] = [720, 420, 48];

export function lossCurve(title: string, points: readonly CurvePoint[]): string {
  const losses = points.flatMap(({ loss, validationLoss }) =>
    validationLoss === undefined ? [loss] : [loss, validationLoss],
  );
  const last = Math.max(1, ...points.map(({ step }) => step));
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const x = (step: number) => (margin + (step / last) * (width - 2 * margin)).toFixed(1);
  const y = (loss: number) => (height - margin - ((loss - low) / (high - low || 1)) * (height - 2 * margin)).toFixed(1);
  let smooth: number | undefined;
  const training = points.map(({ step, loss }) => {
    smooth = smooth === undefined ? loss : 0.95 * smooth + 0.05 * loss;
    return `${x(step)},${y(smooth)}`;
  });
  const validation = points.flatMap(({ step, validationLoss }) =>
    validationLoss === undefined ? [] : [[x(step), y(validationLoss)] as const],
  );
  const text = (at: string, content: string) => `<text ${at} font-family="sans-serif" font-size="12">${content}</text>`;
  const safe = title.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}">`,
    '<rect width="100%" height="100%" fill="white"/>',
    text(`x="${margin}" y="24"`, safe),
    `<path d="M${margin},${margin} V${height - margin} H${width - margin}" fill="none" stroke="black"/>`,
    text(`x="4" y="${margin + 4}"`, high.toFixed(2)),
    text(`x="4" y="${height - margin}"`, low.toFixed(2)),
    text(`x="${width - margin - 40}" y="${height - margin + 20}"`, `${last} steps`),
    `<polyline points="${training.join(' ')}" fill="none" stroke="steelblue" stroke-width="1.5"/>`,
    `<polyline points="${validation.map((point) => point.join(',')).join(' ')}" fill="none" stroke="darkorange"/>`,
    ...validation.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="darkorange"/>`),
    text(`x="${width - 200}" y="24" fill="steelblue"`, 'training loss, smoothed'),
    text(`x="${width - 200}" y="40" fill="darkorange"`, 'validation loss'),
    '</svg>\n',
  ].join('\n');
}
