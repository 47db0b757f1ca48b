// `relufy inspect`: what a model is and what it would take to run, from its headers alone, for people or as JSON.
// Does not own the facts (inspection.ts).
import { formatBytes, formatShare, threeDigits } from '@relufy/chat';
import { type ModelSpec, sparseSites } from '@relufy/models';
import { printProgram } from '@relufy/tensor';
import { type Command, Option } from 'commander';
import { type Inspection, inspectModel, type SiteReads, type TensorListing } from '../inspection.js';
import { addMemoryOptions, type LoadValues, loadOptionsOf, modelHelp } from '../options.js';
import { print, printJson } from '../output.js';
import { openShown } from '../with-model.js';

const examples = `
Examples:
  $ relufy inspect llama-tales
  $ relufy inspect ./my-model --program --sparsity dense
  $ relufy inspect ./my-model --json | jq .memory`;

interface InspectValues extends Omit<LoadValues, 'model'> {
  readonly program?: true;
  readonly tensors?: true;
  readonly json?: true;
}

export function define(command: Command): void {
  command
    .usage('MODEL [options]')
    .argument('<model>', modelHelp)
    .option('--revision <revision>', 'branch, tag or commit of a model on the hub')
    .option('--program', 'print the ops of a step over their buffers')
    .option('--tensors', 'list the tensors of the checkpoint')
    .addOption(new Option('--json', 'print one JSON object'));
  addMemoryOptions(command);
  command.addHelpText('after', examples).action(inspect);
}

async function inspect(source: string, values: InspectValues): Promise<void> {
  const options = loadOptionsOf(values);
  const { inspection, tensors, program } = await inspectModel(await openShown(source, options), options);
  const shown = { ...inspection, name: source };
  if (values.json) {
    const more = {
      ...(values.tensors && { tensors }),
      ...(values.program && { program: { ops: program.ops, buffers: [...program.buffers.values()] } }),
    };
    printJson({ ...shown, ...more });
    return;
  }
  print(describeInspection(shown));
  if (values.tensors) print(`\n${describeTensors(tensors)}`);
  if (values.program) print(`\n${printProgram(program).trimEnd()}`);
}

function describeInspection(inspection: Inspection): string {
  const { name, modelType, parameters, spec, checkpoint, formats, memory, contextLength, sites, sparsity } = inspection;
  const weights = Object.entries(memory.weights);
  const weightBytes = weights.reduce((sum, [, bytes]) => sum + bytes, 0);
  const byDType = weights.map(([dtype, bytes]) => `${dtype} ${formatBytes(bytes)}`).join(', ');
  return [
    `${name}: ${modelType}, ${formatCount(parameters)} parameters`,
    '',
    ...rows('spec', specRows(spec)),
    '',
    ...rows('memory', [
      ['weights', `${formatBytes(weightBytes)} (${byDType})`],
      ['matrices', formats.map(({ stored, memory: format }) => `${stored} as ${format}`).join(', ')],
      ['KV cache', `${formatBytes(memory.kvCache)} for ${contextLength} tokens`],
      ['activations', formatBytes(memory.activations)],
      ['in all', formatBytes(memory.total)],
      ['files', `${formatBytes(checkpoint.bytes)} in ${checkpoint.tensors} tensors, ${checkpoint.format}`],
    ]),
    '',
    ...rows(`weights that a token reads, ${sparsity}`, siteRows(sites)),
  ].join('\n');
}

function specRows(spec: ModelSpec): [string, string][] {
  const { attention, ffn, norm, positions, block } = spec;
  const { kind, threshold } = ffn.activation;
  const biases = [attention.qkvBias && 'qkv', attention.outBias && 'o', ffn.bias && 'ffn', norm.bias && 'norms'];
  const biased = biases.filter((name) => name !== false);
  const scaling = positions.kind === 'rope' && positions.scaling.kind !== 'none' ? `, ${positions.scaling.kind}` : '';
  const rope =
    positions.kind === 'rope' ? ` of ${positions.rotaryDim} dimensions, theta ${positions.ropeTheta}${scaling}` : '';
  const norms = block.kind === 'parallel' ? `, ${block.norms === 1 ? 'one norm' : 'two norms'}` : '';
  return [
    ['layers', `${spec.numHiddenLayers}, ${block.kind}${norms}`],
    ['hidden size', String(spec.hiddenSize)],
    ['ffn', `${spec.intermediateSize}, ${ffn.kind}, ${kind}${threshold === 0 ? '' : ` (threshold ${threshold})`}`],
    [
      'attention',
      `${attention.numAttentionHeads} heads of ${attention.headDim}, ${attention.numKeyValueHeads} for keys and values`,
    ],
    ['norm', `${norm.kind}, eps ${norm.eps}${sparseSites(spec).has('qkv') ? ', ReLU after it (stage 2)' : ''}`],
    ['positions', `${positions.kind}${rope}, at most ${spec.maxPositionEmbeddings}`],
    ['vocabulary', `${spec.vocabSize}, ${spec.tieWordEmbeddings ? 'head tied to the embedding' : 'head of its own'}`],
    ...(spec.embeddingSize === spec.hiddenSize
      ? []
      : [['embedding', `${spec.embeddingSize}, projected`] as [string, string]]),
    ['biases', biased.length === 0 ? 'none' : biased.join(', ')],
  ];
}

function siteRows(sites: readonly SiteReads[]): [string, string][] {
  const total = sites.reduce((sum, { weightBytes }) => sum + weightBytes, 0);
  return sites.map(({ site, weightBytes, sparse, transposed }) => {
    const share = `${formatBytes(weightBytes).padStart(8)} ${formatShare(weightBytes / total).padStart(7)}`;
    const what = site === 'up' ? 'neurons that the gate lets through' : 'channels that are not zero';
    return [site, `${share}  ${sparse ? what : 'all'}${transposed ? ', stored transposed' : ''}`];
  });
}

function describeTensors(tensors: readonly TensorListing[]): string {
  const width = Math.max(...tensors.map(({ name }) => name.length));
  const lines = tensors.map(
    ({ name, dtype, shape, file }) => `  ${name.padEnd(width)}  ${dtype.padEnd(4)}  [${shape.join(', ')}]  ${file}`,
  );
  return ['tensors', ...lines].join('\n');
}

function rows(title: string, entries: readonly [string, string][]): string[] {
  return [title, ...entries.map(([name, value]) => `  ${name.padEnd(13)}${value}`)];
}

/** `8.9 M` */
function formatCount(count: number): string {
  if (count >= 1e9) return `${threeDigits(count / 1e9)} G`;
  return count >= 1e6 ? `${threeDigits(count / 1e6)} M` : String(count);
}
