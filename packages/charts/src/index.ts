export { shortNames, tickText } from './labels.js';
export { type BarChart, barChart, heatMap, type Line, lineChart } from './marks.js';
export { noteHtml, type PageSection, type PageTable, page, tableHtml } from './page.js';
