// The methods: from statistics to a plan for any shares left out. Each says which sites it masks and what a share means
// there; where the shares come from is allocation.ts, how much is left out in the end calibrate.ts.
import { type Mask, type MaskPlace, type ModelSpec, placesName, sparsePlaces } from '@relufy/models';
import { RelufyError } from '@relufy/tensor';
import { Random } from '@relufy/train';
import type { PlanTensor } from './calibration.js';
import { type Method, type MethodContext, thresholdMethod } from './method.js';
import { rSparse } from './r-sparse.js';
import {
  checkGate,
  columnNorms,
  everyLayer,
  inputPlaces,
  type Site,
  siteAt,
  thresholdMask,
  thresholdTensors,
} from './sites.js';
import { collectOrders, upSizes, useOpenMasks } from './statistics.js';

/** Every method but cett, whose knob is an error and no share. */
export async function prepareMethod(context: MethodContext): Promise<Method> {
  const { subject, options } = context;
  const { spec } = subject;
  switch (options.method) {
    case 'teal':
      return thresholdMethod(context, inputSites(spec));
    case 'hard-shrink':
      return hardShrink(context);
    case 'cats':
      checkGate('cats', spec);
      return thresholdMethod(context, [siteAt(spec, ['neurons'])]);
    case 'chess':
      return chess(context);
    case 'fatrelu':
      return fatRelu(context);
    case 'wina':
      return wina(context);
    case 'r-sparse':
      return rSparse(context);
    case 'top':
      return topMethod(spec, inputSites(spec), 'top');
    case 'groups':
      return groups(context);
    case 'random':
      return random(context);
    default:
      throw new Error(`internal: no shares for the method ${options.method}`);
  }
}

const inputSites = (spec: ModelSpec): Site[] => inputPlaces(spec).map((at) => siteAt(spec, at));

/** Sparse RWKV (2501.16337): one threshold a linear layer, the mean over tokens of each token's quantile. */
async function hardShrink({ subject, windows, options, hear }: MethodContext): Promise<Method> {
  const sites = inputPlaces(subject.spec, true).map((at) => siteAt(subject.spec, at));
  await useOpenMasks(subject, sites, options.denseTokens ?? 0);
  const statistics = await collectOrders(subject, windows, sites, hear('reading the text'));
  return {
    sites,
    isThreshold: true,
    draft: (shares) => ({
      plan: { method: 'hard-shrink', masks: sites.map(thresholdMask) },
      tensors: thresholdTensors(sites, statistics.length, (layer, site) => {
        const share = shares[layer]?.[site] as number;
        return share >= 1 ? Number.POSITIVE_INFINITY : (statistics[layer]?.[site]?.quantile(share) as number);
      }),
    }),
  };
}

/** CHESS (2409.01366): a bar a channel, tau over the size of `up`, so that a channel counts by what it would add. */
async function chess(context: MethodContext): Promise<Method> {
  const { subject, windows, options, hear } = context;
  const { spec } = subject;
  checkGate('chess', spec);
  const { attention = true, kappa = 'rms' } = options;
  const seen = [siteAt(spec, ['neurons']), siteAt(spec, ['down'])];
  await useOpenMasks(subject, seen, options.denseTokens ?? 0);
  const scale = await upSizes(subject, windows, kappa, hear('reading the text'));
  // k and v stay whole: their errors would stay in the cache
  const inputs = attention ? (['q', 'o'] as const).map((place) => siteAt(spec, [place])) : [];
  return thresholdMethod(context, [...inputs, siteAt(spec, ['neurons'], { scale })]);
}

/** FATReLU (ProSparse, 2402.13516): of a ReLU model, small neurons beside those that are zero. */
async function fatRelu(context: MethodContext): Promise<Method> {
  const { spec } = context.subject;
  if (!sparsePlaces(spec).has('down'))
    throw new RelufyError(
      'option',
      `calibrate: expected a model with a ReLU for the method fatrelu, got ${spec.ffn.activation.kind}. Take cats or cett.`,
    );
  return thresholdMethod(context, [siteAt(spec, [spec.ffn.kind === 'gated' ? 'neurons' : 'down'])]);
}

/** Only these have norms in WINA's released code; the others count by magnitude. */
const releasedNorms: ReadonlySet<MaskPlace> = new Set(['k', 'gate']);

/** WINA (2505.19427): |x_i| ||W_i||, the k largest of each token or by a threshold; without the rotation of its release. */
async function wina(context: MethodContext): Promise<Method> {
  const { subject, options } = context;
  const { spec } = subject;
  const { norms = 'projection', select = options.allocation === 'greedy' ? 'threshold' : 'top' } = options;
  const sites = inputPlaces(spec, norms !== 'site').map((at) => {
    if (norms === 'release' && !releasedNorms.has(at[0] as MaskPlace)) return siteAt(spec, at);
    return siteAt(spec, at, { scale: everyLayer(spec, (layer) => columnNorms(subject, layer, at)) });
  });
  return select === 'threshold' ? thresholdMethod(context, sites) : topMethod(spec, sites, 'wina');
}

/** The k largest of each token: a budget that no text changes. `within`: of every so many neighbours. */
function topMethod(spec: ModelSpec, sites: readonly Site[], name: string, within?: number): Method {
  return {
    sites,
    isThreshold: false,
    draft: (shares) => {
      const tensors = new Map<string, PlanTensor>();
      const masks = sites.map((site, index): Mask => {
        const { at, width, scale } = site;
        const of = within ?? width;
        const k = everyLayer(spec, (layer) => Math.round((1 - (shares[layer]?.[index] as number)) * of));
        for (const [layer, values] of scale?.entries() ?? [])
          tensors.set(`layers.${layer}.${placesName(at)}.scale`, { shape: [width], values });
        return { at, kind: 'top', k, ...(scale && { scaled: true }), ...(within !== undefined && { within }) };
      });
      return { plan: { method: name, masks }, tensors };
    },
  };
}

/** Flexible N:M (2509.22166): 16 of 32 keeps SIMD regular. */
function groups({ subject: { spec }, options: { within = 32 } }: MethodContext): Method {
  const sites = inputSites(spec);
  const wrong = sites.find(({ width }) => width % within !== 0);
  if (wrong)
    throw new RelufyError(
      'option',
      `calibrate option "within": expected a divisor of ${wrong.width} (${wrong.at.join(', ')}), got ${within}.`,
    );
  return topMethod(spec, sites, 'groups', within);
}

/** The control: channels drawn once, whatever the token. A plan cannot draw anew for each. */
function random({ subject: { spec }, options: { seed = 1 } }: MethodContext): Method {
  const sites = inputSites(spec);
  return {
    sites,
    isThreshold: false,
    draft: (shares) => {
      const tensors = new Map<string, PlanTensor>();
      for (let layer = 0; layer < spec.numHiddenLayers; layer++)
        for (const [index, { at, width }] of sites.entries()) {
          const draw = new Random(seed, layer, index);
          const keys = Float64Array.from({ length: width }, () => draw.next());
          const order = Uint32Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!);
          const values = new Float32Array(width);
          const out = Math.round((shares[layer]?.[index] as number) * width);
          for (const channel of order.subarray(0, out)) values[channel] = Number.POSITIVE_INFINITY;
          tensors.set(`layers.${layer}.${placesName(at)}.threshold`, { shape: [width], values });
        }
      const masks = sites.map(({ at }): Mask => ({ at, kind: 'magnitude', perChannel: true }));
      return { plan: { method: 'random', masks }, tensors };
    },
  };
}
