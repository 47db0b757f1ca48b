// Tables for other tools: CSV as RFC 4180 has it, a line feed behind each row. Does not own what is in them.

export type Cell = string | number | undefined;

const quoted = (cell: Cell): string => {
  const text = String(cell ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

/** What is not known is an empty cell. */
export const csv = (head: readonly string[], rows: readonly (readonly Cell[])[]): string =>
  `${[head, ...rows].map((row) => row.map(quoted).join(',')).join('\n')}\n`;
