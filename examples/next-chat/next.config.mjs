import { fileURLToPath } from 'node:url';

// relufy comes from the folder above, where the repository has it; elsewhere leave `root` out
const root = fileURLToPath(new URL('../..', import.meta.url));

export default {
  // models and binaries are files: on the server relufy stays out of the bundle
  serverExternalPackages: ['@relufy/ai-provider', 'relufy'],
  turbopack: { root },
  outputFileTracingRoot: root,
};
