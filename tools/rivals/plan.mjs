// What is compared with what: groups of engines whose runs are interleaved, and the targets that the project set itself.
// Owns names, specs and bars, all data. Does not own running (turns.mjs) or writing models (make-model.mjs).

/**
 * @typedef {object} Contender
 * @property {string} name unique in its group
 * @property {import('./engines/engine.mjs').EngineSpec} spec
 *
 * @typedef {object} Group
 * @property {string} id
 * @property {string} title
 * @property {string} note
 * @property {readonly [number, number]} ids token ids are drawn from here
 * @property {Contender[]} contenders
 * @property {readonly ('first' | 'prefill' | 'decode')[]} measures
 * @property {number} [loops] busy loops that run beside the engines
 *
 * @typedef {object} Bar
 * @property {string} group
 * @property {string} what
 * @property {string} ours
 * @property {string} [theirs]
 * @property {'decode' | 'prefill' | 'bandwidth' | 'start' | 'bytesTime' | 'worstTime'} metric
 * @property {number} goal at least; of a time, at most
 * @property {number} [stretch]
 */

/** Our format beside the rival's of the same size. */
export const pairs = [
  { dtype: 'int8', type: 'q8_0' },
  { dtype: 'int4', type: 'q4_0' },
  { dtype: 'bf16', type: 'f16' },
];

export const backends = ['native', 'wasm'];
export const busyLoops = [0, 1, 4];
export const sweepDensities = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1];

const all = /** @type {const} */ (['first', 'prefill', 'decode']);

/** @typedef {{ threads: number, contextLength: number }} Machine */

/**
 * @param {import('./make-model.mjs').Files} files @param {Machine} machine
 * @param {{ vocab: number, label: string, powerinfer?: { binary: string, model: string } }} model
 * @returns {Group[]}
 */
export function syntheticGroups(files, machine, { vocab, label, powerinfer }) {
  return pairs.map((pair) => {
    const group = syntheticGroup(pair.dtype, pair, files, machine, { vocab, label });
    if (powerinfer && pair.type === 'f16')
      group.contenders.push({
        name: 'PowerInfer f16 sparse',
        spec: { adapter: 'powerinfer', ...powerinfer, ...machine },
      });
    return group;
  });
}

/**
 * Masks at the inputs of every projection of the synthetic model, under SiLU, beside what they are compared with.
 * @param {import('./make-model.mjs').Files} files
 * @param {{ inputs: string, inputsOf: (dtype: string) => string }} plans a folder; and of the weights that are laid out for
 *   the masks
 * @returns {Group[]}
 */
export function planGroups(files, plans, machine, { vocab, label }) {
  return pairs
    .filter(({ dtype }) => dtype !== 'bf16')
    .map(({ dtype, type }) => {
      const exact = { dtype, sparsity: 'exact', ...machine };
      return {
        id: `plans-${dtype}`,
        title: `${label}, sparsity plans: ${dtype} and ${type}`,
        note: 'Inputs: half of the inputs of every projection masked, under SiLU.',
        ids: [259, vocab],
        measures: ['prefill', 'decode'],
        contenders: [
          { name: `llama.cpp ${type}`, spec: { adapter: 'llama.cpp', model: files.gguf(type), ...machine } },
          ...backends.flatMap((backend) => [
            relufy(`${backend} ${dtype} dense`, files, 'dense', { backend, dtype, sparsity: 'dense', ...machine }),
            relufy(`${backend} ${dtype} inputs`, { ...files, dense: plans.inputsOf(dtype) }, 'dense', {
              backend,
              plan: plans.inputs,
              ...exact,
            }),
          ]),
        ],
      };
    });
}

/** Shares of active neurons at which predictors are timed; the first is the model's own, a shift of its ReLU gives the other. */
export const predictorDensities = [0.1, 0.03];

/**
 * A predictor of the gate, in front of it, at two shares of active neurons.
 * @param {import('./make-model.mjs').Files} files
 * @param {{ density: number, shift?: number, plan: string }[]} points by share, the plan's folder each
 * @returns {Group[]}
 */
export function predictorGroups(files, points, machine, { vocab, label }) {
  return pairs
    .filter(({ dtype }) => dtype !== 'bf16')
    .map(({ dtype, type }) => ({
      id: `predictor-${dtype}`,
      title: `${label}, with a predictor of neurons: ${dtype} and ${type}`,
      note: `Predictor: low rank, in bf16, before the gate is read; sparse: the gate whole. llama.cpp: the same bytes under SiLU.`,
      ids: [259, vocab],
      measures: ['decode'],
      contenders: [
        { name: `llama.cpp ${type}`, spec: { adapter: 'llama.cpp', model: files.gguf(type), ...machine } },
        ...backends.flatMap((backend) =>
          points.flatMap(({ density, shift, plan }) => {
            const spec = { backend, dtype, sparsity: 'exact', ...(shift !== undefined && { shift }), ...machine };
            const at = `${backend} ${dtype}`;
            return [
              relufy(`${at} sparse ${density * 100} %`, files, 'sparse', spec),
              relufy(`${at} predictor ${density * 100} %`, files, 'sparse', { ...spec, plan }),
            ];
          }),
        ),
      ],
    }));
}

/** AFM-4.5B's shape: llama.cpp runs the very same model, ReLU² and all. @returns {Group} */
export function afmGroup(files, machine, model) {
  return syntheticGroup('afm', { dtype: 'int8', type: 'q8_0' }, files, machine, model);
}

function syntheticGroup(id, { dtype, type }, files, machine, { vocab, label }) {
  const same = files.dense === files.sparse;
  return {
    id,
    title: `${label}: ${dtype} and ${type}`,
    note: same
      ? 'All run the same model. Sparse: exact, weights behind zeros not read.'
      : 'Dense: the weights under SiLU, as in llama.cpp. Sparse: under ReLU, exact, weights behind zeros not read.',
    ids: [259, vocab],
    measures: all,
    contenders: [
      { name: `llama.cpp ${type}`, spec: { adapter: 'llama.cpp', model: files.gguf(type), ...machine } },
      ...backends.flatMap((backend) => [
        relufy(`${backend} ${dtype} dense`, files, 'dense', { backend, dtype, sparsity: 'dense', ...machine }),
        relufy(`${backend} ${dtype} sparse`, files, 'sparse', { backend, dtype, sparsity: 'exact', ...machine }),
      ]),
    ],
  };
}

/** @param {import('./make-model.mjs').Files} files @param {'sparse' | 'dense'} kind */
function relufy(name, files, kind, { dtype, ...rest }) {
  const model = files.converted(files[kind], dtype) ?? files[kind];
  return { name, spec: { adapter: 'relufy', model, dtype, ...rest } };
}

/**
 * A group of our own rows alone, each beside the same of another checkout, and the bars that nothing became slower.
 * @param {Group} group @param {string} checkout its tools/rivals
 * @returns {{ group: Group, bars: Bar[] }}
 */
export function besideBefore(group, checkout) {
  const own = group.contenders.filter(({ spec }) => spec.adapter === 'relufy');
  const twin = (name) => `${name}, before`;
  const contenders = own.flatMap(({ name, spec }) => [
    { name, spec },
    { name: twin(name), spec: { ...spec, checkout } },
  ]);
  const bars = group.measures
    .filter((metric) => metric !== 'first')
    .flatMap((metric) =>
      own.map(({ name }) => {
        const what = `${group.id}: ${metric}, ${name} / before`;
        return { group: group.id, what, ours: name, theirs: twin(name), metric, goal: 0.98 };
      }),
    );
  return { group: { ...group, title: `${group.title}, before and after`, contenders }, bars };
}

/** One model whose gate lets everything through, and shifts of its ReLU that let through less. @returns {Group} */
export function sweepGroup(files, machine, { vocab, shiftTo }) {
  const dtype = 'int8';
  return {
    id: 'sweep',
    title: 'Decode time at densities from 1 to 100 %, int8',
    note: 'The same shape with 8 layers; density by a shift of the ReLU. Predicted: the dense time times the fraction of bytes read.',
    ids: [259, vocab],
    measures: ['decode'],
    contenders: backends.flatMap((backend) => [
      relufy(`${backend} dense`, files, 'sparse', { backend, dtype, sparsity: 'dense', ...machine }),
      ...sweepDensities.map((density) =>
        relufy(`${backend} ${density * 100} %`, files, 'sparse', {
          backend,
          dtype,
          sparsity: 'exact',
          shift: shiftTo(density),
          ...machine,
        }),
      ),
    ]),
  };
}

/**
 * SmolLM2-135M as it is: SiLU, dense.
 * @param {{ folder: string, gguf: (type: string) => string, converted: (dtype: string) => string | undefined }} files
 * @returns {Group}
 */
export function smolGroup(files, machine) {
  const contender = (backend, dtype) => ({
    name: `${backend} ${dtype}`,
    spec: { adapter: 'relufy', model: files.converted(dtype) ?? files.folder, backend, dtype, ...machine },
  });
  return {
    id: 'smollm2',
    title: 'SmolLM2-135M, dense',
    note: 'q8_0 and q4_0 made from the same weights by our converter, every matrix in the named type.',
    ids: [1000, 49000],
    measures: all,
    contenders: [
      ...['q8_0', 'q4_0'].map((type) => ({
        name: `llama.cpp ${type}`,
        spec: { adapter: 'llama.cpp', model: files.gguf(type), ...machine },
      })),
      ...backends.flatMap((backend) => ['int8', 'int4', 'bf16', 'f32'].map((dtype) => contender(backend, dtype))),
    ],
  };
}

/**
 * SmolLM2-135M beside busy loops: what one thread and two are worth where other programs want the processors.
 * @param {Parameters<typeof smolGroup>[0]} files @returns {Group[]}
 */
export function busyGroups(files, { contextLength }) {
  const each = (name, spec) =>
    [1, 2].map((threads) => ({
      name: `${name}, ${threads} thread${threads > 1 ? 's' : ''}`,
      spec: { ...spec, threads },
    }));
  const model = files.converted('int8') ?? files.folder;
  return busyLoops.map((loops) => ({
    id: `busy-${loops}`,
    title: `SmolLM2-135M beside ${loops} busy loops, int8 and q8_0`,
    note: 'A busy loop is a process that never waits. p99 / median: of a token, over all rounds.',
    ids: [1000, 49000],
    measures: ['decode'],
    loops,
    contenders: [
      ...each('llama.cpp q8_0', { adapter: 'llama.cpp', model: files.gguf('q8_0'), contextLength }),
      ...backends.flatMap((backend) =>
        each(`${backend} int8`, { adapter: 'relufy', model, backend, dtype: 'int8', contextLength }),
      ),
    ],
  }));
}

/** @type {readonly Bar[]} */
export const bars = [
  bar('int8', 'native dense decode, int8 / q8_0', 'native int8 dense', 'llama.cpp q8_0', 1, 1.2),
  bar('int4', 'native dense decode, int4 / q4_0', 'native int4 dense', 'llama.cpp q4_0', 1, 1.2),
  bar('int8', 'native sparse decode, 10 % active, int8 / q8_0', 'native int8 sparse', 'llama.cpp q8_0', 2, 2.4),
  bar('int4', 'native sparse decode, 10 % active, int4 / q4_0', 'native int4 sparse', 'llama.cpp q4_0', 2.2, 2.8),
  own('int8', 'native dense decode, int8, % of peak bandwidth', 'native int8 dense', 'bandwidth', 0.85, 0.92),
  own('int4', 'native dense decode, int4, % of peak bandwidth', 'native int4 dense', 'bandwidth', 0.65, 0.8),
  { ...bar('int8', 'native prefill, int8 / q8_0', 'native int8 dense', 'llama.cpp q8_0', 1, 1.5), metric: 'prefill' },
  bar('int8', 'WASM sparse decode, 10 % active, int8 / native q8_0', 'wasm int8 sparse', 'llama.cpp q8_0', 1.6, 2),
  bar('int8', 'WASM dense decode, int8 / native q8_0', 'wasm int8 dense', 'llama.cpp q8_0', 0.6, 0.8),
  ...backends.flatMap((backend) => [
    ...sweepDensities.map((density) => ({
      ...own('sweep', `${backend} decode at ${density * 100} %: time / time of bytes`, '', 'bytesTime', 1.15),
      ours: `${backend} ${density * 100} %`,
      theirs: `${backend} dense`,
    })),
    own('sweep', `${backend} decode at its worst density: time / dense time`, `${backend} dense`, 'worstTime', 1.05),
  ]),
  bar(
    'plans-int8',
    'native decode, half of all inputs masked, int8 / dense',
    'native int8 inputs',
    'native int8 dense',
    1.5,
    1.75,
  ),
  bar(
    'plans-int4',
    'native decode, half of all inputs masked, int4 / dense',
    'native int4 inputs',
    'native int4 dense',
    1.5,
    1.75,
  ),
  bar(
    'plans-int8',
    'native decode, half of all inputs masked, int8 / q8_0',
    'native int8 inputs',
    'llama.cpp q8_0',
    1.6,
    2,
  ),
  bar(
    'plans-int4',
    'native decode, half of all inputs masked, int4 / q4_0',
    'native int4 inputs',
    'llama.cpp q4_0',
    2.2,
    3,
  ),
  bar(
    'plans-int8',
    'WASM decode, half of all inputs masked, int8 / dense',
    'wasm int8 inputs',
    'wasm int8 dense',
    1.3,
    1.6,
  ),
  {
    ...bar(
      'plans-int8',
      'native prefill, half of all inputs masked, int8 / dense',
      'native int8 inputs',
      'native int8 dense',
      0.97,
    ),
    metric: 'prefill',
  },
  ...[
    ['int8', 'q8_0', 10, 2.7, 3.2],
    ['int4', 'q4_0', 10, 3.5, 4.2],
    ['int8', 'q8_0', 3, 3.2, 3.6],
    ['int4', 'q4_0', 3, 4.2, 5],
  ].map(([dtype, type, active, goal, stretch]) =>
    bar(
      `predictor-${dtype}`,
      `native decode with a predictor, ${active} % active, ${dtype} / ${type}`,
      `native ${dtype} predictor ${active} %`,
      `llama.cpp ${type}`,
      goal,
      stretch,
    ),
  ),
  bar(
    'predictor-int8',
    'native decode, predictor / exact sparse, 10 % active, int8',
    'native int8 predictor 10 %',
    'native int8 sparse 10 %',
    1.3,
    1.45,
  ),
  bar(
    'predictor-int8',
    'WASM decode with a predictor, 10 % active, int8 / native q8_0',
    'wasm int8 predictor 10 %',
    'llama.cpp q8_0',
    1.8,
    2.2,
  ),
  own('int8', 'native start to first token, 16-token prompt, int8 (ms)', 'native int8 sparse', 'start', 1000, 300),
  bar(
    'afm',
    'AFM-4.5B shape, native sparse decode, 10 % active, int8 / q8_0',
    'native int8 sparse',
    'llama.cpp q8_0',
    1.4,
    1.6,
  ),
  bar('smollm2', 'SmolLM2-135M native decode, int8 / q8_0', 'native int8', 'llama.cpp q8_0', 1, 1.3),
  bar('smollm2', 'SmolLM2-135M native decode, int4 / q4_0', 'native int4', 'llama.cpp q4_0', 1, 1.3),
  ...backends.flatMap((backend) =>
    [
      [4, 0.8],
      [1, 1.3],
    ].map(([loops, goal]) =>
      bar(
        `busy-${loops}`,
        `${backend} beside ${loops} busy loop${loops > 1 ? 's' : ''}: two threads / one`,
        `${backend} int8, 2 threads`,
        `${backend} int8, 1 thread`,
        goal,
      ),
    ),
  ),
];

/** @returns {Bar} */
function bar(group, what, ours, theirs, goal, stretch) {
  return { group, what, ours, theirs, metric: 'decode', goal, stretch };
}

/** @returns {Bar} */
function own(group, what, ours, metric, goal, stretch) {
  return { group, what, ours, metric, goal, stretch };
}
