// The worker apart, after the library, which empties dist: one file that is a module and a script (src/worker.ts says why).
import { defineConfig } from 'tsup';
import { library } from '../../tsup.base.js';

const script = { format: 'iife', splitting: false, clean: false, outExtension: () => ({ js: '.js' }) } as const;
export default defineConfig(library(['src/worker.ts'], script));
