// Threads need a cross-origin isolated page. Where the server sends no such headers, a service worker answers with them,
// from the second load on; so the first load is followed by another one, once. It also keeps the page for offline use.
// Does not own the service worker (sw.ts).

const reloadedKey = 'relufy-reloaded';

/** @returns true where the page is about to be loaded anew. */
export async function isolatePage(): Promise<boolean> {
  const { serviceWorker } = navigator;
  if (serviceWorker === undefined) return false;
  try {
    const registration = await serviceWorker.register(new URL('sw.js', document.baseURI), { scope: './' });
    if (crossOriginIsolated || hasReloaded()) return false;
    await activated(registration);
    sessionStorage.setItem(reloadedKey, '1');
    location.reload();
    return true;
  } catch {
    return false; // a private window, or no storage: the page works without
  }
}

/** Within one visit, once is enough: a browser that does not isolate then never will. */
function hasReloaded(): boolean {
  return sessionStorage.getItem(reloadedKey) !== null;
}

function activated(registration: ServiceWorkerRegistration): Promise<void> {
  const worker = registration.installing ?? registration.waiting ?? registration.active;
  return new Promise((resolve, reject) => {
    const look = () => {
      if (worker?.state === 'activated') resolve();
      if (worker === null || worker.state === 'redundant') reject(new Error('The service worker was not installed.'));
    };
    worker?.addEventListener('statechange', look);
    look();
  });
}
