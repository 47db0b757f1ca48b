// Keys of a run's config under other names: those of earlier versions, and those of Hugging Face's Trainer where ours
// differ. What a person writes under one is refused with the name that it has; what an earlier version wrote of a run is
// read by it. Does not own what the keys mean (config.ts).

/** Where a list stands in a path, its places are left out. */
const earlier: Readonly<Record<string, string>> = {
  parts: 'gradientAccumulationSteps',
  recompute: 'gradientCheckpointing',
  penalty: 'l1',
  helu: 'heluAlpha',
  'model.initDeviation': 'model.initializerRange',
  'optimizer.maxNorm': 'optimizer.maxGradNorm',
  'optimizer.averageDecay': 'optimizer.emaDecay',
  'optimizer.floor': 'optimizer.minLrRatio',
  'optimizer.decayShare': 'optimizer.decayRatio',
  'optimizer.groups.rate': 'optimizer.groups.lrScale',
};

/** In run.json the schedule is an object of its own. */
const earlierInRuns: Readonly<Record<string, string>> = {
  ...earlier,
  'optimizer.schedule.floor': 'optimizer.schedule.minLrRatio',
  'optimizer.schedule.decay': 'optimizer.schedule.decayRatio',
};

/** TrainingArguments and TRL's, in camel case: a flat list there. */
const ofTrainer: Readonly<Record<string, string>> = {
  outputDir: 'out',
  maxSteps: 'steps',
  maxLength: 'contextLength',
  perDeviceTrainBatchSize: 'batchSize',
  gradientAccumulationSteps: 'gradientAccumulationSteps',
  gradientCheckpointing: 'gradientCheckpointing',
  initializerRange: 'model.initializerRange',
  learningRate: 'optimizer.learningRate',
  lrSchedulerType: 'optimizer.schedule',
  warmupSteps: 'optimizer.warmupSteps',
  adamBeta1: 'optimizer.beta1',
  adamBeta2: 'optimizer.beta2',
  adamEpsilon: 'optimizer.eps',
  weightDecay: 'optimizer.weightDecay',
  maxGradNorm: 'optimizer.maxGradNorm',
  loggingSteps: 'logEvery',
  evalSteps: 'evaluation.every',
  saveSteps: 'checkpoint.every',
  saveTotalLimit: 'checkpoint.keep',
};

const camelCase = (key: string): string => key.replace(/_+(\w)/g, (_, letter: string) => letter.toUpperCase());

const withoutPlaces = (path: string): string => path.replace(/\.\d+(?=\.)/g, '');

/** The key that a person means who writes one at `path` (`optimizer.maxNorm`); undefined where no other is known. */
export function todaysKey(path: string): string | undefined {
  const known = withoutPlaces(path);
  const now = Object.hasOwn(earlier, known) ? earlier[known] : undefined;
  if (now !== undefined) return now;
  const [, section, key = ''] = /^(optimizer\.)?([^.]+)$/.exec(path) ?? [];
  const name = camelCase(key);
  const ours = Object.hasOwn(ofTrainer, name) ? ofTrainer[name] : undefined;
  return ours === `${section ?? ''}${key}` ? undefined : ours;
}

/** A run's config as it was written, by whichever version, in today's words; places of keys stay. */
export function inTodaysWords(value: unknown, path = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => inTodaysWords(item, path));
  if (typeof value !== 'object' || value === null || path === 'model.config') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => {
      const before = path === '' ? key : `${path}.${key}`;
      const now = earlierInRuns[before]?.split('.').at(-1) ?? key;
      return [now, inTodaysWords(part, before)];
    }),
  );
}
