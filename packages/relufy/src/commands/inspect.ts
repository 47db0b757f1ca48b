// `relufy inspect`: what a model is and what it would take to run, from its headers alone, for people or as JSON.
// Does not own the facts (inspection.ts).
import { formatBytes, formatShare, threeDigits } from '@relufy/chat';
import {
  hasNormRelu,
  type Mask,
  type ModelSpec,
  type Predictor,
  type ReadSite,
  type SparsityPlan,
  withOpenPlan,
} from '@relufy/models';
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
  const files = await openShown(source, options);
  const opened = await withOpenPlan(options, openShown);
  const { inspection, tensors, program } = await inspectModel(files, opened);
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
  const { name, modelType, parameters, spec, checkpoint, formats, memory, contextLength, sites, sparsity, plan } =
    inspection;
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
      spec.mixer.kind === 'attention'
        ? ['KV cache', `${formatBytes(memory.kvCache)} for ${contextLength} tokens`]
        : ['state', `${formatBytes(memory.recurrentState)}, however many tokens`],
      ['activations', formatBytes(memory.activations)],
      ['in all', formatBytes(memory.total)],
      ['files', `${formatBytes(checkpoint.bytes)} in ${checkpoint.tensors} tensors, ${checkpoint.format}`],
    ]),
    '',
    ...(plan ? [...rows(`plan ${plan.method}`, planRows(plan)), ''] : []),
    ...rows(`weights that a token reads, ${sparsity}`, siteRows(sites)),
  ].join('\n');
}

function specRows(spec: ModelSpec): [string, string][] {
  const { mixer, ffn, norm, positions, block } = spec;
  const { kind, threshold } = ffn.activation;
  const ofMixer = mixer.kind === 'attention' ? [mixer.qkvBias && 'qkv', mixer.outBias && 'o'] : [];
  const biases = [...ofMixer, ffn.bias && 'ffn', norm.bias && 'norms'];
  const biased = biases.filter((name) => name !== false);
  const scaling = positions.kind === 'rope' && positions.scaling.kind !== 'none' ? `, ${positions.scaling.kind}` : '';
  const rope =
    positions.kind === 'rope' ? ` of ${positions.rotaryDim} dimensions, theta ${positions.ropeTheta}${scaling}` : '';
  const limit = mixer.kind === 'attention' ? 'at most' : 'made for';
  const norms = block.kind === 'parallel' ? `, ${block.norms === 1 ? 'one norm' : 'two norms'}` : '';
  return [
    ['layers', `${spec.numHiddenLayers}, ${block.kind}${norms}`],
    ['hidden size', String(spec.hiddenSize)],
    [
      'ffn',
      `${spec.intermediateSize}, ${ffn.channelMix ? 'channel mix' : ffn.kind}, ${kind}${threshold === 0 ? '' : ` (threshold ${threshold})`}`,
    ],
    mixer.kind === 'attention'
      ? [
          'attention',
          `${mixer.numAttentionHeads} heads of ${mixer.headDim}, ${mixer.numKeyValueHeads} for keys and values`,
        ]
      : ['mixer', `${mixer.kind}, recurrent, ${mixer.width} channels`],
    ['norm', `${norm.kind}, eps ${norm.eps}${hasNormRelu(spec) ? ', ReLU after it (stage 2)' : ''}`],
    ['positions', `${positions.kind}${rope}, ${limit} ${spec.maxPositionEmbeddings}`],
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
    const what = transposed ? 'channels that are not zero' : (neuronsRead[site] ?? 'neurons that are foreseen');
    return [site, `${share}  ${sparse ? what : 'all'}${transposed ? ', stored transposed' : ''}`];
  });
}

const neuronsRead: Partial<Record<ReadSite, string>> = { up: 'neurons that the gate lets through' };

/** What the plan does where, and what it promises. */
function planRows({
  masks = [],
  lowRank = [],
  predictor,
  denseTokens,
  reuse,
  baseModel,
  expected,
}: SparsityPlan): [string, string][] {
  const named = baseModel?.name ? [['made for', baseModel.name] as [string, string]] : [];
  const promised = [
    expected?.modelSparsity !== undefined && `${formatShare(expected.modelSparsity)} of the blocks' weights skipped`,
    expected?.perplexity !== undefined &&
      `perplexity ${threeDigits(expected.perplexity)}${expected.densePerplexity ? ` (dense ${threeDigits(expected.densePerplexity)})` : ''}`,
  ].filter((text) => text !== false);
  return [
    ...named,
    ...masks.map((mask): [string, string] => [mask.at.join(', '), ruleInWords(mask)]),
    ...lowRank.map(({ at, rank, input }): [string, string] => [
      at.join(', '),
      `low rank ${span(rank)} beside it, fed ${input === 'all' ? 'the whole input' : 'what the mask leaves out'}`,
    ]),
    ...(predictor ? [['neurons', `${predictorInWords(predictor)}, before the gate is read`] as [string, string]] : []),
    ...(denseTokens ? [['first tokens', `${denseTokens} pass whole`] as [string, string]] : []),
    ...(reuse
      ? [['reuse', `of the neurons of ${reuse.interval} tokens by the next ${reuse.interval}`] as [string, string]]
      : []),
    ...(promised.length > 0 ? [['expected', promised.join(', ')] as [string, string]] : []),
  ];
}

function ruleInWords(mask: Mask): string {
  switch (mask.kind) {
    case 'relu':
      return 'max(0, x)';
    case 'magnitude':
      return `x where |x| ${mask.keepsTies ? '>=' : '>'} a threshold, one ${mask.perChannel ? 'a channel' : 'a layer'}`;
    case 'top': {
      const what = mask.groupSize ? `groups of ${mask.groupSize} with the largest sums of ` : 'largest ';
      return `the ${span(mask.k)} ${what}${mask.scaled ? '|x| times a scale' : '|x|'}${mask.within ? ` of every ${mask.within}` : ''}`;
    }
  }
}

function predictorInWords(predictor: Predictor): string {
  const own = predictor.perNeuron ? ', a threshold a neuron' : '';
  switch (predictor.kind) {
    case 'signs':
      return `those whose sign bits agree enough with the input's, ${predictor.perNeuron ? 'a threshold a neuron' : `alpha ${span(predictor.alpha)} %`}`;
    case 'partial':
      return `those whose gate is large over the ${span(predictor.inputs)} largest inputs, in ${predictor.dtype ?? 'int4'}${own}`;
    case 'two-bit':
      return `those whose gate is large with two bits a weight${own}`;
    default:
      return `a predictor of rank ${span(predictor.rank)}${predictor.input ? ' over the residual stream' : ''}${own}`;
  }
}

/** `4`, or `2 to 8` where layers differ. */
function span(values: readonly number[]): string {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return low === high ? String(low) : `${low} to ${high}`;
}

function describeTensors(tensors: readonly TensorListing[]): string {
  const width = tensors.reduce((most, { name }) => Math.max(most, name.length), 0);
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
