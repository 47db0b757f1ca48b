// `relufy calibrate`: a sparsity plan for a model as it is, from a text: options, targets, the folder that is written, and
// what was measured so far beside it, so that the same command goes on. Does not own methods or searches
// (@relufy/predictor).
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { wholeFrom } from '@relufy/chat';
import { writeFolder } from '@relufy/checkpoint/node';
import { maskPlaces } from '@relufy/models';
import {
  allocations,
  type Calibration,
  type CalibrationOptions,
  type CalibrationTarget,
  Calibrator,
  calibrationMethods,
  calibrationPage,
  checkCalibrationOptions,
} from '@relufy/predictor';
import { jsonText, weightDTypes } from '@relufy/tensor';
import type { Command } from 'commander';
import { withJournal } from '../calibration-journal.js';
import { usageError } from '../failure.js';
import { addBackendOptions, choice, modelHelp, numberOf, numeric } from '../options.js';
import { print } from '../output.js';
import { fingerprintOf, firstTokenIds, percentOf, refuseExisting, writePlan } from '../plan-output.js';
import { untilInterrupted } from '../signals.js';
import { openText } from '../text-ids.js';
import { openShown } from '../with-model.js';
import { workLine } from '../work-line.js';

const examples = `
Methods (formulas and papers: docs/calibrate.md):
  teal      inputs of every projection by a threshold       cats      neurons by the size of the gate's output
  wina      by |x| times the norm of its column             chess     neurons by a threshold a channel; inputs of q and o
  r-sparse  by a threshold, a low-rank product for the rest cett      neurons by what they add
  top       the k largest inputs of each token              fatrelu   small neurons of a ReLU model
  groups    16 of 32 neighbours, as "top"                   random    the control
  hard-shrink  as "teal", a threshold for each projection: the mean of each token's quantile (RWKV)

Examples:
  $ relufy calibrate ./model --method teal --data wiki.txt --sparsity 0.4 --out ./plan
  $ relufy calibrate ./model --method teal --allocation greedy --data wiki.txt --sparsity 0.5 --dtype int8 --out ./plan
  $ relufy calibrate ./model --method cett --data wiki.txt --max-perplexity-increase 1% --out ./plan
  $ relufy calibrate ./model --method r-sparse --allocation evolutionary --data wiki.txt --sparsity 0.5 --out ./plan
  $ relufy calibrate ./rwkv --method hard-shrink --allocation sequential --data wiki.txt --site-loss-increase 0.05% --out ./plan
  $ relufy calibrate ./model --method teal --data wiki.txt --density down=0.3,o=0.5 --out ./plan
  $ relufy calibrate ./model --method wina --data wiki.txt --sweep 0.25,0.4,0.5 --out ./plans

A run that was ended goes on with the same command: what it has measured lies beside --out, in OUT.partial.jsonl.`;

interface CalibrateValues {
  readonly method: CalibrationOptions['method'];
  readonly data: string;
  readonly out: string;
  readonly sparsity?: number;
  readonly density?: CalibrationTarget['density'];
  readonly maxPerplexityIncrease?: number;
  readonly cett?: number;
  readonly siteLossIncrease?: number;
  readonly sweep?: readonly number[];
  readonly allocation?: CalibrationOptions['allocation'];
  readonly tokens: number;
  readonly trialTokens: number;
  readonly window: number;
  readonly seed: number;
  readonly denseTokens: number;
  readonly norms?: CalibrationOptions['norms'];
  readonly select?: CalibrationOptions['select'];
  readonly rho?: number;
  readonly population?: number;
  readonly generations?: number;
  readonly dtype?: NonNullable<CalibrationOptions['load']>['dtype'];
  readonly revision?: string;
  readonly threads?: number;
  readonly backend?: 'auto' | 'native' | 'wasm' | 'reference';
}

const share = { fits: (value: number) => value > 0 && value < 1, expected: 'a number between 0 and 1' };
const shareOrEnds = { fits: (value: number) => value >= 0 && value <= 1, expected: 'a number from 0 to 1' };

export function define(command: Command): void {
  command
    .usage('MODEL --method M --data TEXT --out PLAN [options]')
    .argument('<model>', modelHelp)
    .requiredOption('-d, --data <file>', 'the text, plain or gzipped')
    .requiredOption('-o, --out <folder>', 'where the plan goes; with --sweep: a folder of plans and their curve')
    .addOption(choice('--method <method>', 'what is left out', calibrationMethods).makeOptionMandatory())
    .addOption(numeric('--sparsity <fraction>', "fraction of the blocks' weights that a token skips", share))
    .option('--density <place=fraction,...>', 'fraction kept, by place, such as down=0.3,q=0.5,k=0.5,v=0.5', densityOf)
    .option(
      '--max-perplexity-increase <percent>',
      'the most that perplexity may rise, such as 1%',
      percentOf('--max-perplexity-increase'),
    )
    .addOption(numeric('--cett <error>', 'of the method cett: the error that leaving out may make', shareOrEnds))
    .option(
      '--site-loss-increase <percent>',
      'of the allocation sequential: the most that the loss may grow by each threshold, such as 0.05%',
      percentOf('--site-loss-increase'),
    )
    .option('--sweep <shares>', 'a plan for each sparsity, such as 0.25,0.4,0.5', sharesOf)
    .addOption(
      choice('--allocation <rule>', 'how sparsity is allocated to sites and blocks (default: uniform)', allocations),
    )
    .addOption(numeric('--tokens <n>', 'tokens from which statistics are taken', wholeFrom(2)).default(4096))
    .addOption(numeric('--trial-tokens <n>', 'tokens after them, on which plans are tried', wholeFrom(2)).default(2048))
    .addOption(numeric('--window <n>', 'tokens of a sequence; each begins without context', wholeFrom(2)).default(512))
    .addOption(numeric('--seed <n>', 'of random channels and of evolution', wholeFrom(0)).default(1))
    .addOption(
      numeric('--dense-tokens <n>', 'tokens at the beginning that are computed whole', wholeFrom(0)).default(0),
    )
    .addOption(choice('--norms <whose>', 'of wina: whose columns make the norms', ['projection', 'site', 'release']))
    .addOption(choice('--select <how>', 'of wina: the k largest, or a threshold', ['top', 'threshold']))
    .addOption(
      numeric('--rho <fraction>', 'of r-sparse: fraction of the budget for channels, the rest for ranks', shareOrEnds),
    )
    .addOption(
      numeric(
        '--population <n>',
        'of the allocation evolutionary: how many live on (default: 8; of r-sparse 32)',
        wholeFrom(4),
      ),
    )
    .addOption(
      numeric(
        '--generations <n>',
        'of the allocation evolutionary (default: 4; of r-sparse 5 for each four blocks)',
        wholeFrom(1),
      ),
    )
    .addOption(
      choice('--dtype <dtype>', 'format of the weights: calibrate what will be run (default: auto)', [
        'auto',
        ...weightDTypes,
      ]),
    )
    .option('--revision <revision>', 'branch, tag or commit of a model on the hub');
  addBackendOptions(command);
  command.addHelpText('after', examples).action(calibrateModel);
}

async function calibrateModel(source: string, values: CalibrateValues): Promise<void> {
  const targets = targetsOf(values);
  const options = optionsOf(values);
  for (const target of targets) checkCalibrationOptions({ ...options, ...target });
  const text = await openText(values.data);
  await refuseExisting(values.out);
  await untilInterrupted(async (signal) => {
    const line = workLine(process.stderr);
    const onProgress = (what: string, share: number) => line.hear({ what, share });
    const files = await openShown(source, { signal, ...(values.revision && { revision: values.revision }) });
    const tokenIds = await firstTokenIds(files, text, values.tokens + values.trialTokens, signal);
    const model = await fingerprintOf(files, signal);
    const inputs = { model, tokenIds, options: { ...options, load: savedLoad(values) } };
    await withJournal(values.out, inputs, signal, async (journal, whileAlone) => {
      const run = { ...options, onProgress, signal: whileAlone, journal };
      const calibrator = await Calibrator.open(files, [tokenIds], run).finally(line.clear);
      try {
        const made: Calibration[] = [];
        for (const target of targets) {
          made.push(await calibrator.meet(target).finally(line.clear));
          print(told(made.at(-1) as Calibration));
        }
        await writePlans(values, made);
      } finally {
        await calibrator.dispose();
      }
    });
  });
  print(values.out);
}

/** One target, or one for each point of a sweep. */
function targetsOf(values: CalibrateValues): readonly CalibrationTarget[] {
  const { sparsity, density, maxPerplexityIncrease, cett, siteLossIncrease, sweep } = values;
  const all = [sparsity, density, maxPerplexityIncrease, cett, siteLossIncrease, sweep];
  const given = all.filter((value) => value !== undefined);
  if (given.length !== 1)
    throw usageError(
      `calibrate: expected one of --sparsity, --density, --max-perplexity-increase, --cett, --site-loss-increase and --sweep, got ${given.length === 0 ? 'none' : given.length}.`,
    );
  if (sweep) return sweep.map((one) => ({ sparsity: one }));
  if (sparsity !== undefined) return [{ sparsity }];
  if (density !== undefined) return [{ density }];
  if (siteLossIncrease !== undefined) return [{ siteLossIncrease }];
  return cett === undefined ? [{ perplexityIncrease: maxPerplexityIncrease as number }] : [{ cett }];
}

function optionsOf(values: CalibrateValues): Omit<CalibrationOptions, keyof CalibrationTarget> {
  const { method, allocation, tokens, trialTokens, window, seed, denseTokens, norms, select, rho, data } = values;
  const { dtype, threads, backend, population, generations } = values;
  return {
    ...{ method, tokens, trialTokens, window, seed, denseTokens, text: basename(data) },
    ...(allocation && { allocation }),
    ...(norms && { norms }),
    ...(select && { select }),
    ...(rho !== undefined && { rho }),
    ...(population !== undefined && { population }),
    ...(generations !== undefined && { generations }),
    load: {
      ...(dtype && { dtype }),
      ...(threads !== undefined && { threads }),
      ...(backend && { backend }),
    },
  };
}

/** What of loading changes numbers: a run may go on with another number of threads. */
const savedLoad = ({ dtype, backend }: CalibrateValues) => ({ dtype, backend });

const percent = (value: number): string => `${(100 * value).toFixed(1)} %`;

function told({ plan, trial, densePerplexity }: Calibration): string {
  const rise = percent(trial.perplexity / densePerplexity - 1);
  return `${plan.method}: ${percent(trial.sparsity)} of the blocks' weights skipped, perplexity ${trial.perplexity.toFixed(2)} (dense ${densePerplexity.toFixed(2)}, ${rise} more)`;
}

/** The folder of one plan; of a sweep a folder of them, with the curve. */
async function writePlans({ out, sweep }: CalibrateValues, made: readonly Calibration[]): Promise<void> {
  if (sweep === undefined) {
    await writeFolder(out, (staging) => writePlan(staging, made[0] as Calibration), { what: 'the plan' });
    return;
  }
  await writeFolder(
    out,
    async (staging) => {
      const points = made.map(({ trial, densePerplexity }, at) => ({
        plan: `sparsity-${+(100 * (sweep[at] as number)).toFixed(1)}`,
        ...{ sparsity: trial.sparsity, perplexity: trial.perplexity, densePerplexity, density: trial.density },
      }));
      for (const [at, { plan }] of points.entries()) {
        await mkdir(join(staging, plan));
        await writePlan(join(staging, plan), made[at] as Calibration);
      }
      await writeFile(join(staging, 'curve.json'), `${jsonText(points)}\n`);
      const { plan, densePerplexity } = made[0] as Calibration;
      const curve = { name: plan.method, points: made.map(({ trial }) => trial) };
      const title = `${plan.baseModel?.name ?? 'A model'}: ${plan.method}`;
      await writeFile(join(staging, 'report.html'), calibrationPage(title, [curve], densePerplexity));
    },
    { what: 'the plans' },
  );
}

function densityOf(text: string): NonNullable<CalibrationTarget['density']> {
  const wrong = () =>
    usageError(
      `--density: expected shares by place (${maskPlaces.join(', ')}), such as down=0.3,o=0.5, got ${JSON.stringify(text)}.`,
    );
  const entries = text.split(',').map((pair) => {
    const [place = '', value, ...more] = pair.split('=');
    if (!(maskPlaces as readonly string[]).includes(place) || value === undefined || more.length > 0) throw wrong();
    return [place, numberOf(`--density ${place}`, value, shareOrEnds)] as const;
  });
  return Object.fromEntries(entries);
}

const sharesOf = (text: string): number[] => text.split(',').map((one) => numberOf('--sweep', one, share));
