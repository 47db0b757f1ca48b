// Dense decode: one row over about 1 GB of weights, in GB/s and as a share of the streaming bandwidth measured in the
// same rounds. `node tools/bench/dense.mjs [--threads=2] [--dtypes=f32,bf16,int8,int4] [--backend=native,wasm]`
import { rowBytes } from '../../packages/tensor/dist/index.js';
import {
  backendNames,
  design,
  dtypes,
  fillRandom,
  leastTimes,
  openBackend,
  option,
  printMachine,
  threads,
} from './measure.mjs';
import { checkLinear, quantized } from './products.mjs';

const width = 2048;
/** A product reads as much as a part of the streaming measurement, so that both are as likely to run undisturbed. */
const productBytes = 2 ** 23;
const limits = { maxRows: 1, maxOutputs: 1 };
const step = { rows: 1, outputs: 1 };
const total = Number(option('gb', 1)) * 1e9;

const opened = await Promise.all(backendNames().map((name) => openBackend(name, { threads })));
const [{ backend: first, bandwidth }] = opened;
printMachine('dense decode', first);
for (const dtype of dtypes)
  for (const transposed of option('transposed', 'no,yes')
    .split(',')
    .map((word) => word === 'yes')) {
    const wide = Math.round(productBytes / rowBytes(dtype, width) / 64) * 64;
    const columns = transposed ? wide : width;
    const layerBytes = rowBytes(dtype, columns) * (transposed ? width : wide);
    const layers = Math.ceil(total / layerBytes);
    const { decls, program } = design(limits, (declare, builder) => {
      declare('x', 'f32', ['rows', width]);
      const x = quantized(declare, builder, 'x', width, dtype, transposed);
      for (let i = 0; i < layers; i++) {
        const w = declare(`w${i}`, dtype, transposed ? [width, wide] : [wide, width], transposed);
        builder.op('linear', { ...x, w, out: declare(`out${i}`, 'f32', ['rows', wide]) });
      }
    });
    const cases = {};
    const sessions = [];
    for (const { backend } of opened) {
      if (!backend.weightDTypes.includes(dtype)) continue;
      const session = await backend.createSession(decls, limits);
      for (const [i, { name }] of decls.entries())
        fillRandom(session.view(name), i + 1, { dtype: name.startsWith('w') ? dtype : 'f32', columns });
      const loaded = session.load(program);
      await loaded.run(step);
      checkLinear(session, { w: `w${layers - 1}`, out: `out${layers - 1}`, dtype, transposed, width, wide });
      sessions.push(session);
      cases[backend.name] = () => loaded.profile(step);
    }
    let stream = 0;
    cases.stream = async () => {
      stream = Math.max(stream, await bandwidth(2 ** 30));
      return [];
    };
    const times = await leastTimes(cases);
    for (const [name, ms] of Object.entries(times)) {
      if (name === 'stream') continue;
      const speed = (layers * layerBytes) / ms / 1e6;
      console.log(
        `${name} ${dtype}${transposed ? ' transposed' : ''}: ${speed.toFixed(1)} GB/s, ` +
          `${((100 * speed) / stream).toFixed(0)} % of peak ${stream.toFixed(1)} GB/s`,
      );
    }
    for (const session of sessions) await session.dispose();
  }
for (const { backend } of opened) await backend.dispose();
