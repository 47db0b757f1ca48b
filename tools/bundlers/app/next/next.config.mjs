// Nothing but a static site, and relufy left out of what the server bundles.
export default {
  output: 'export',
  serverExternalPackages: ['relufy'],
  turbopack: { root: new URL('..', import.meta.url).pathname },
};
