// `relufy train`: a run as its config says, with a line of progress. Does not own the run (@relufy/train).
import { wholeFrom } from '@relufy/chat';
import { createBackend } from '@relufy/models';
import type { Metrics, RunEvent } from '@relufy/train';
import type { Command } from 'commander';
import { addBackendOptions, type BackendValues, modelHelp, numeric } from '../options.js';
import { print, printJson } from '../output.js';
import { untilInterrupted } from '../signals.js';
import { openModel, openShown } from '../with-model.js';
import { duration, workLine } from '../work-line.js';

const examples = `
The run's folder holds run.json, metrics.jsonl, loss.svg, checkpoints/ and, at the end, model/. The same command goes on
from the last checkpoint: a run that is stopped or killed loses at most the steps since then, and ends with the same bits.

Examples:
  $ relufy train --config run.yaml
  $ relufy train --config run.yaml --from ./llama-relu --out ./run-2`;

interface TrainValues extends BackendValues {
  readonly config: string;
  readonly from?: string;
  readonly out?: string;
  readonly steps?: number;
  readonly json?: true;
}

export function define(command: Command): void {
  command
    .usage('--config FILE [options]')
    .requiredOption('-c, --config <file>', "the run's YAML file")
    .option('--from <model>', `in place of the config's model: ${modelHelp}`)
    .option('-o, --out <folder>', "in place of the config's out")
    .addOption(numeric('--steps <n>', "in place of the config's steps", wholeFrom(1)))
    .option('--json', 'print an event a line, as JSON');
  addBackendOptions(command);
  command.addHelpText('after', examples).action(train);
}

async function train({ config: file, json, backend: name, threads, ...overrides }: TrainValues): Promise<void> {
  const { readRunConfig, runTraining } = await import('@relufy/train');
  const config = await readRunConfig(file, overrides);
  const chosen = { ...(name !== undefined && { backend: name }), ...(threads !== undefined && { threads }) };
  const { backend, description } = await createBackend(chosen);
  if (json) printJson({ kind: 'backend', description }, 0);
  else print(description);
  const line = workLine(process.stderr);
  const hear = (event: RunEvent) => {
    // programs hear what has come about
    if (event.kind === 'progress') {
      if (!json) line.hear(event);
      return;
    }
    line.clear();
    if (json) printJson(event, 0);
    else print(describe(event, config.steps));
  };
  try {
    await untilInterrupted((signal) =>
      runTraining(config, {
        backend,
        signal,
        open: (source) => openShown(source, { signal }),
        loadTeacher: (source) => openModel(source, { ...chosen, signal }),
        onEvent: hear,
      }),
    );
  } finally {
    line.clear();
    await backend.dispose();
  }
}

function describe(event: Exclude<RunEvent, { kind: 'progress' }>, steps: number): string {
  switch (event.kind) {
    case 'start': {
      const parameters = (event.parameters / 1e6).toFixed(2);
      return `${parameters} M parameters, ${event.sequences} sequences, ${megabytes(event.memoryBytes)}, of which ${megabytes(event.activationBytes)} activations`;
    }
    case 'resumed':
      return `going on behind step ${event.step}, from ${event.path}`;
    case 'warning':
      return event.message;
    case 'checkpoint':
      return `checkpoint ${event.path}`;
    case 'done':
      return `${event.folder} (peak memory of the process ${megabytes(event.peakBytes)})`;
    case 'evaluated': {
      const { validationLoss, validationPerplexity } = event.metrics;
      return `step 0/${steps}, validation ${validationLoss.toFixed(4)}, its perplexity ${validationPerplexity.toFixed(2)}, before any training`;
    }
    case 'step':
      return describeStep(event.metrics, steps);
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

function describeStep(metrics: Metrics, steps: number): string {
  const { step, loss, perplexity, tokensPerSecond, etaSeconds, density, validationLoss, divergence } = metrics;
  const mean = density.reduce((sum, share) => sum + share, 0) / density.length;
  return [
    `step ${step}/${steps}`,
    `loss ${loss.toFixed(4)}`,
    `perplexity ${perplexity.toFixed(2)}`,
    ...(divergence === undefined ? [] : [`divergence ${divergence.toFixed(4)}`]),
    ...(validationLoss === undefined ? [] : [`validation ${validationLoss.toFixed(4)}`]),
    `density ${(100 * mean).toFixed(1)} %`,
    `${tokensPerSecond.toFixed(0)} tokens/s`,
    `${duration(1000 * etaSeconds)} left`,
  ].join(', ');
}
