// `strftime_now` of chat templates: the local time written as Python's datetime.strftime does in the C locale.
// Names of months and days are English, whatever the machine's language.

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** Writes `date` by `format`; a directive that is not known stays as it is. */
export function strftime(date: Date, format: string): string {
  const pad = (value: number, width = 2): string => String(value).padStart(width, '0');
  const hour12 = date.getHours() % 12 || 12;
  const start = Date.UTC(date.getFullYear(), 0, 1);
  const dayOfYear = (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - start) / 86_400_000 + 1;
  const values: Record<string, string> = {
    Y: String(date.getFullYear()),
    y: pad(date.getFullYear() % 100),
    m: pad(date.getMonth() + 1),
    B: months[date.getMonth()]!,
    b: months[date.getMonth()]!.slice(0, 3),
    d: pad(date.getDate()),
    e: String(date.getDate()).padStart(2, ' '),
    j: pad(dayOfYear, 3),
    A: days[date.getDay()]!,
    a: days[date.getDay()]!.slice(0, 3),
    w: String(date.getDay()),
    H: pad(date.getHours()),
    I: pad(hour12),
    M: pad(date.getMinutes()),
    S: pad(date.getSeconds()),
    f: pad(date.getMilliseconds() * 1000, 6),
    p: date.getHours() < 12 ? 'AM' : 'PM',
    '%': '%',
  };
  values.F = `${values.Y}-${values.m}-${values.d}`;
  values.T = `${values.H}:${values.M}:${values.S}`;
  return format.replaceAll(/%(-?)([A-Za-z%])/g, (directive, plain: string, letter: string) => {
    const value = values[letter];
    if (value === undefined) return directive;
    // `%-d` is glibc's way to leave out the padding.
    return plain === '-' ? value.replace(/^[0 ]+(?=.)/, '') : value;
  });
}
