// Runs a turbo task over the workspace: `node tools/run.mjs TASK [--quiet]`. Telemetry off; --quiet prints only failures.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';

const [task, ...flags] = process.argv.slice(2);
const turbo = createRequire(import.meta.url).resolve('turbo/bin/turbo');
const quiet = flags.includes('--quiet') ? ['--output-logs=errors-only'] : ['--output-logs=new-only'];
const { status } = spawnSync(process.execPath, [turbo, 'run', task, ...quiet], {
  stdio: ['ignore', flags.includes('--quiet') ? 'pipe' : 'inherit', 'inherit'],
  env: { ...process.env, TURBO_TELEMETRY_DISABLED: '1', DO_NOT_TRACK: '1', TURBO_NO_UPDATE_NOTIFIER: '1' },
});
process.exit(status ?? 1);
