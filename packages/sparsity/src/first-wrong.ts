// Lists and maps in schemas of files. zod checks all items and words an issue for each that is wrong, so that a file of 600 KB
// which lies 200,000 times took 3.7 s and 700 MB to be refused. Only the first is told anyway: these stop there.
// Does not own what the files hold (record.ts).
import { z } from 'zod';

/** A list of any length. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(z.unknown()).transform((values, context): readonly z.output<Item>[] => {
    const read: z.output<Item>[] = [];
    for (let at = 0; at < values.length; at++) {
      const parsed = item.safeParse(values[at]);
      if (!parsed.success) return firstOf(parsed.error, at, context);
      read.push(parsed.data);
    }
    return read;
  });
}

/** A map of any names. */
export function mapOf<Value extends z.ZodType>(value: Value) {
  return z.record(z.string(), z.unknown()).transform((values, context): Readonly<Record<string, z.output<Value>>> => {
    const read: [name: string, value: z.output<Value>][] = [];
    for (const [name, given] of Object.entries(values)) {
      const parsed = value.safeParse(given);
      if (!parsed.success) return firstOf(parsed.error, name, context);
      read.push([name, parsed.data]);
    }
    // names are a file's: `__proto__` may be one
    return Object.fromEntries(read);
  });
}

/** Where a value is wrong first, and how: never longer than a line, whatever names a file has. */
export function firstIssue(error: z.ZodError): { readonly path: string; readonly message: string } {
  const [issue] = error.issues;
  const short = (text: string) => (text.length > 200 ? `${text.slice(0, 197)}...` : text);
  return { path: short(issue?.path.join('.') ?? ''), message: short(issue?.message ?? 'another file') };
}

function firstOf(error: z.ZodError, at: string | number, context: z.RefinementCtx): never {
  const [issue] = error.issues;
  context.addIssue({ code: 'custom', message: issue?.message ?? 'wrong', path: [at, ...(issue?.path ?? [])] });
  return z.NEVER;
}
