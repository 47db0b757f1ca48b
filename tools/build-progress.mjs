// What a person sees while the workspace is built before a command runs: that it is built, which step it is at, and how
// long it took; on the error stream, so that pipes stay clean. Nothing when there is nothing to build.
// Reads the lines that turbo writes; does not run it (run.mjs).

/** A terminal that does not know its width says 0 or nothing. */
const usualColumns = 80;

/**
 * @param {{ isTTY?: boolean, columns?: number, write(text: string): unknown }} stream
 * @param {{ first: boolean, total: number, now?: () => number }} options `first`: nothing was ever built; `total`: the
 *   packages there are to build
 */
export function buildProgress(stream, { first, total, now = () => performance.now() }) {
  const started = now();
  let [begun, drawn, name] = [0, '', ''];
  const seconds = () => `${Math.round((now() - started) / 1000)} s`;
  const step = () => (first ? `${begun} of ${total}` : String(begun));
  const erase = () => (drawn === '' ? '' : '\r\u001b[2K');
  const draw = () => {
    if (name === '' || !stream.isTTY) return;
    // a line that is wider than the terminal would be broken, and half of it would stay
    const line = `  ${step()}: ${name}, ${seconds()}`.slice(0, (stream.columns || usualColumns) - 1);
    stream.write(erase() + line);
    drawn = line;
  };
  return {
    /** A line of turbo. @param {string} line */
    hear(line) {
      const found = /^(\S+):\w+: cache miss, executing /.exec(line)?.[1];
      if (found === undefined) return;
      if (begun === 0)
        stream.write(
          first
            ? `Building Relufy, ${total} packages: once, for about a minute. The next start takes a second.\n`
            : 'Building what has changed.\n',
        );
      begun++;
      name = found;
      if (stream.isTTY) draw();
      else stream.write(`  ${step()}: ${name}\n`);
    },
    /** Time has passed. */
    tick: draw,
    /** @param {boolean} built whether it succeeded */
    end(built) {
      if (begun === 0) return;
      stream.write(`${erase()}${built ? `Built in ${seconds()}.` : `The build failed after ${seconds()}.`}\n`);
      drawn = '';
    },
  };
}

/**
 * Of what turbo wrote, the lines of the packages that failed, and its own.
 * @param {readonly string[]} lines
 */
export function failedLines(lines) {
  const failed = new Set(lines.flatMap((line) => /^(\S+)#\w+: .*exited \(/.exec(line)?.[1] ?? []));
  const packageOf = (/** @type {string} */ line) => /^(\S+?)[:#]\w+: ?/.exec(line)?.[1];
  return lines.filter((line) => {
    const owner = packageOf(line);
    return owner === undefined || failed.size === 0 || failed.has(owner);
  });
}
