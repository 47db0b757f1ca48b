// The service worker: keeps the page for offline use, and answers with the headers that isolate it, so that a server of
// plain files is enough for threads. Does not own models, which the page keeps in its own storage, nor any other address.
export {};

interface WorkerScope {
  readonly registration: { readonly scope: string };
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(
    type: 'install' | 'activate',
    hear: (event: { waitUntil(work: Promise<unknown>): void }) => void,
  ): void;
  addEventListener(
    type: 'fetch',
    hear: (event: { readonly request: Request; respondWith(answer: Promise<Response>): void }) => void,
  ): void;
}

const scope = self as unknown as WorkerScope;
// vite.config.ts writes both
const files = JSON.parse('__PRECACHE__') as string[];
const cacheName = `relufy-page-${'__VERSION__'}`;

scope.addEventListener('install', (event) => {
  event.waitUntil(
    caches
      .open(cacheName)
      .then((cache) =>
        cache.addAll(files.map((file) => new Request(new URL(file, scope.registration.scope), { cache: 'reload' }))),
      )
      .then(() => scope.skipWaiting()),
  );
});

scope.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names
            .filter((name) => name.startsWith('relufy-page-') && name !== cacheName)
            .map((name) => caches.delete(name)),
        ),
      )
      .then(() => scope.clients.claim()),
  );
});

scope.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const base = new URL(scope.registration.scope);
  if (request.method !== 'GET' || url.origin !== base.origin || !url.pathname.startsWith(base.pathname)) return;
  const path = url.pathname.slice(base.pathname.length);
  const isPage = request.mode === 'navigate' && (path === '' || path === 'index.html');
  if (isPage) event.respondWith(newest(base));
  else if (path === 'models.json') event.respondWith(newest(url));
  else if (files.includes(path)) event.respondWith(kept(url));
});

/** From the server, or as it was kept. A server error counts as none. */
async function newest(url: URL): Promise<Response> {
  const cache = await caches.open(cacheName);
  try {
    const response = await fetch(url, { cache: 'no-cache' });
    if (response.ok) {
      await cache.put(url, response.clone());
      return isolated(response);
    }
  } catch {} // offline
  return isolated((await cache.match(url)) ?? Response.error());
}

async function kept(url: URL): Promise<Response> {
  const cache = await caches.open(cacheName);
  return isolated((await cache.match(url)) ?? (await fetch(url)));
}

function isolated(response: Response): Response {
  if (response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set('cross-origin-opener-policy', 'same-origin');
  headers.set('cross-origin-embedder-policy', 'require-corp');
  headers.set('cross-origin-resource-policy', 'same-origin');
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
