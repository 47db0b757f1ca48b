// `pnpm web`: serves the chat page on this machine and opens it; `--out FOLDER` writes it as plain files instead, for any
// web server. Owns listening. Does not own which files there are, nor how they are answered (@relufy/web).
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { Readable } from 'node:stream';
import { parseArgs } from 'node:util';
import { sitePage, writeSite } from '../apps/web/dist/site/index.js';

const usage = `Usage: pnpm web [options]

  --port N       listen on this port (default: 8090, or any that is free)
  --host H       listen on this address (default: 127.0.0.1)
  --no-open      do not open a browser
  --out FOLDER   write the page as plain files, models included, and end
  --models A,B   of the models that come as packages, only these (default: all that are installed)
`;

const { values } = parseArgs({
  options: {
    port: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    open: { type: 'boolean', default: true },
    out: { type: 'string' },
    models: { type: 'string' },
    help: { type: 'boolean', short: 'h', default: false },
  },
  allowNegative: true,
});
/** Of the site. */
const options = values.models === undefined ? {} : { models: values.models.split(',').filter((name) => name !== '') };

const page = sitePage(options);

if (values.help) process.stdout.write(usage);
else if (values.out !== undefined) {
  await writeSite(values.out, options);
  process.stdout.write(`${values.out}: serve it with any web server, at any path.\n`);
} else await serve();

async function serve() {
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(error.message);
    });
  });
  const port = values.port === undefined ? 8090 : Number(values.port);
  await new Promise((resolve, reject) => {
    server.on('error', (error) => {
      if (error.code === 'EADDRINUSE' && values.port === undefined) server.listen(0, values.host);
      else reject(error);
    });
    server.listen(port, values.host, resolve);
  });
  const address = `http://${values.host.includes(':') ? `[${values.host}]` : values.host}:${server.address().port}/`;
  process.stdout.write(`Relufy's chat page: ${address}  (Ctrl+C ends it)\n`);
  if (values.open && process.stdout.isTTY && !process.env.CI) openBrowser(address);
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.once(signal, () => {
      server.closeAllConnections();
      server.close();
    });
}

async function answer({ method, url, headers }, response) {
  const { range } = headers;
  const request = new Request(new URL(url, 'http://localhost'), { method, ...(range && { headers: { range } }) });
  const found = await page(request);
  if (found === undefined)
    return response.writeHead(404, { 'content-type': 'text/plain' }).end('There is no such file.');
  response.writeHead(found.status, Object.fromEntries(found.headers));
  if (found.body) Readable.fromWeb(found.body).pipe(response);
  else response.end();
}

/** Where there is no way to open one, the address above is enough. */
function openBrowser(address) {
  const [command, ...args] = { darwin: ['open', address], win32: ['cmd', '/c', 'start', '', address] }[
    process.platform
  ] ?? ['xdg-open', address];
  spawn(command, args, { stdio: 'ignore', detached: true })
    .on('error', () => {})
    .unref();
}
