// What a run's config says of its training step: sizes, groups of parameters, terms of the loss. Does not own the step
// (training-step.ts) or what else the config says.
import type { RunConfig } from './config.js';
import type { ParameterGroup } from './optimizer.js';
import { parameterPattern } from './parameter-pattern.js';
import type { StartModel } from './start-model.js';
import type { TrainingStepOptions } from './training-step.js';

/** Slots in a part for each sequence of the context's length, where documents have their own. */
const documentsPerContext = 8;

export function stepOptionsOf(config: RunConfig, { spec }: Pick<StartModel, 'spec'>): TrainingStepOptions {
  const { optimizer, contextLength, batchSize, gradientAccumulationSteps, packing, distillation } = config;
  const sequences = batchSize / gradientAccumulationSteps;
  const rows = sequences * contextLength;
  return {
    limits: { maxRows: rows, maxOutputs: rows },
    slots: packing === 'stream' ? sequences : sequences * documentsPerContext,
    contextLength,
    beta1: optimizer.beta1,
    beta2: optimizer.beta2,
    eps: optimizer.eps,
    groups: groupsOf(optimizer),
    ema: optimizer.emaDecay > 0,
    teacherTokens: Math.min(distillation?.tokens ?? 0, spec.vocabSize),
    l1: config.l1.length > 0,
    masks: config.masks,
    heluAlpha: config.heluAlpha,
    gradientCheckpointing: config.gradientCheckpointing,
  };
}

function groupsOf({ groups, weightDecay }: RunConfig['optimizer']): ParameterGroup[] {
  return [
    ...groups.map(({ match, ...group }) => {
      const fits = parameterPattern(match);
      return { match: ({ name }: { name: string }) => fits(name), ...group };
    }),
    { match: ({ shape }) => shape.length > 1, weightDecay, lrScale: 1 },
    { match: () => true, weightDecay: 0, lrScale: 1 },
  ];
}
