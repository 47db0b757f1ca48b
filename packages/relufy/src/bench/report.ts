// The bench's report: the machine it ran on and tables of what was measured, as Markdown or JSON.
import { execFileSync } from 'node:child_process';
import { arch, cpus, loadavg, platform, totalmem } from 'node:os';

export interface Table {
  readonly title: string;
  /** How the numbers came about, in one line. */
  readonly note: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface Machine {
  readonly date: string;
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
  /** Load of the last minute when the bench began: above a few tenths, something else was running. */
  readonly load: number;
}

export function describeMachine(): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: commit(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    platform: `${platform()}-${arch()}`,
    node: process.version,
    load: Number((loadavg()[0] as number).toFixed(2)),
  };
}

/** The revision of the checkout that the bench runs in; an installed package has none. */
function commit(): string {
  try {
    const cwd = new URL('.', import.meta.url);
    return execFileSync('git', ['describe', '--always', '--dirty'], { cwd, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim();
  } catch {
    return 'none';
  }
}

export function toMarkdown(machine: Machine, backend: string, tables: readonly Table[]): string {
  const { date, commit: revision, cpu, cores, memoryGiB, platform: system, node, load } = machine;
  const lines = [
    `${date}, commit ${revision}, ${cpu} (${cores} cores, ${memoryGiB} GiB), ${system}, Node ${node}, load ${load}.`,
    `Backend: ${backend}.`,
  ];
  for (const { title, note, columns, rows } of tables) {
    const cells = [columns, ...rows.map((row) => row.map(String))];
    const widths = columns.map((_, column) => Math.max(...cells.map((row) => (row[column] as string).length)));
    const line = (row: readonly string[]) =>
      `| ${row.map((cell, i) => cell.padStart(widths[i] as number)).join(' | ')} |`;
    const rule = `|${widths.map((width) => `${'-'.repeat(width + 1)}:`).join('|')}|`;
    const [header, ...body] = cells.map((row) => line(row as string[]));
    lines.push('', `### ${title}`, note, '', header as string, rule, ...body);
  }
  return lines.join('\n');
}

export const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
