// The site: its navigation, and what VitePress is told. Pages are gathered by build.mjs.
const page = (text, link) => ({ text, link });

export default {
  title: 'Relufy',
  description: 'Activation-sparse language models in Node and the browser',
  lang: 'en',
  cleanUrls: false,
  // the front page is docs/index.md, where the links of the other pages lead
  rewrites: { 'docs/index.md': 'index.md', 'README.md': 'readme.md' },
  srcExclude: ['**/*.html'],
  // VitePress looks for pages only: charts, data and files of the repository are not among them
  ignoreDeadLinks: [/\.(svg|png|csv|json|jsonl|html|mjs|ts|jinja|yaml)$/, /LICENSE/, /NOTICE/, /^\.\.?\//, /\/index$/],
  vite: { build: { chunkSizeWarningLimit: 4000 }, publicDir: 'public' },
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      page('Guides', '/docs/guides/models'),
      page('Reference', '/docs/reference/'),
      page('Papers', '/docs/papers'),
      page('Experiments', '/docs/experiments/README'),
    ],
    sidebar: [
      {
        text: 'Begin',
        items: [
          page('Applications', '/docs/start/applications'),
          page('Chat', '/docs/start/chat'),
          page('Research', '/docs/start/research'),
        ],
      },
      {
        text: 'Guides',
        items: [
          page('Run any model', '/docs/guides/models'),
          page('Choose a format', '/docs/guides/formats'),
          page('Speed and memory', '/docs/guides/speed'),
          page('Speculative decoding', '/docs/guides/speculation'),
          page('Relufy a model', '/docs/guides/relufy'),
          page('Measure activity', '/docs/guides/measure'),
          page('Sparsity plans', '/docs/plans'),
          page('Predict active neurons', '/docs/guides/predictor'),
          page('Train', '/docs/guides/train'),
          page('Evaluate', '/docs/guides/evaluate'),
          page('Serve', '/docs/serve'),
          page('Deploy', '/docs/deploy'),
          page('The page', '/docs/web'),
          page('Bundlers and browsers', '/docs/bundlers'),
          page('Sparse models', '/docs/models'),
        ],
      },
      {
        text: 'Results',
        items: [
          page('The papers', '/docs/papers'),
          page('Experiments', '/docs/experiments/README'),
          page('Evaluations', '/docs/evaluations/2026-11-24'),
          page('Benchmarks', '/docs/benchmarks/README'),
          page('What works, and its limits', '/docs/limits'),
        ],
      },
      {
        text: 'Inside',
        items: [
          page('How a token comes about', '/ARCHITECTURE'),
          page('Contributing', '/CONTRIBUTING'),
          page('Log', '/LOG'),
          page('Reference', '/docs/reference/'),
        ],
      },
    ],
  },
};
