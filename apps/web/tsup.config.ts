import { defineConfig } from 'tsup';
import { library } from '../../tsup.base.js';

export default defineConfig(library(['src/site/index.ts'], { outDir: 'dist/site' }));
