// `node tools/goldens/random-configs.mjs FOLDER`: the checkpoints of random_configs.py in WebAssembly and, where it is built,
// natively, against transformers' logits, of stage 2 of relufication too. Prints what differs by more than 1e-3 of the largest
// logit, and what is refused, by message; ends with 1 where something differs.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createBackend, loadModel } from '@relufy/models';

const folder = process.argv[2];
if (folder === undefined) throw new Error('random-configs: expected the folder that random_configs.py filled.');
const backends = [];
for (const backend of ['wasm', 'native'])
  await createBackend({ backend, threads: 1 }).then(
    (made) => backends.push(made.backend),
    (error) => console.log(error.message),
  );
const refused = new Map();
const counts = { equal: 0, different: 0 };

for (const name of readdirSync(folder).sort()) {
  const golden = JSON.parse(readFileSync(join(folder, name, 'golden.json'), 'utf8'));
  for (const backend of backends)
    for (const stage of golden.stage2 ? [0, 2] : [0]) await compare(name, golden, backend, stage);
}
for (const backend of backends) await backend.dispose();
console.log(`${counts.equal} equal, ${counts.different} different`);
for (const [message, times] of [...refused].sort()) console.log(`refused ${times} times: ${message}`);
process.exitCode = counts.different > 0 ? 1 : 0;

async function compare(name, golden, backend, stage) {
  try {
    const model = await loadModel(join(folder, name), {
      backend,
      dtype: 'f32',
      ...(stage > 0 && { relufy: { stage } }),
    });
    const { logits } = await model.forward(golden.ids, { logits: 'all' });
    await model.dispose();
    // a config does not say whether rotary tables were rounded with the weights, so either may be the right one
    const wanted = stage > 0 ? [golden.stage2] : [golden.logits, golden.rounded];
    const [off] = wanted.map((want) => farthest(logits, want)).sort((a, b) => a - b);
    if (off <= 1e-3) counts.equal++;
    else {
      counts.different++;
      console.log(
        `${name}, ${backend.name}${stage > 0 ? ', stage 2' : ''}: off by ${off.toExponential(1)} of the largest logit`,
      );
    }
  } catch (error) {
    if (error.code === undefined) throw error;
    const message = `${name.slice(6)}: ${error.message.replaceAll(folder, '')}`;
    refused.set(message, (refused.get(message) ?? 0) + 1);
  }
}

/** The largest difference over the largest logit; infinite where a number is not finite. */
function farthest(logits, want) {
  let [off, top] = [0, 0];
  want.forEach((value, i) => {
    const difference = Math.abs(value - logits[i]);
    off = difference <= off ? off : Number.isFinite(difference) ? difference : Number.POSITIVE_INFINITY;
    top = Math.max(top, Math.abs(value));
  });
  return off / top;
}
