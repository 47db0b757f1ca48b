// What a plan says of how it was asked for: its target and its method's options. Does not own their rules (options.ts).
import type { CalibrationOptions, CalibrationTarget } from './options.js';

/** In the words of `sparsity_config.json`. */
export const targetOf = ({
  sparsity,
  density,
  perplexityIncrease,
  cett,
  siteLossIncrease,
}: CalibrationTarget): Record<string, unknown> => ({
  ...(sparsity !== undefined && { sparsity }),
  ...(density !== undefined && { density }),
  ...(perplexityIncrease !== undefined && { perplexity_increase: perplexityIncrease }),
  ...(cett !== undefined && { cett }),
  ...(siteLossIncrease !== undefined && { site_loss_increase: siteLossIncrease }),
});

/** With the defaults that were taken. */
export function methodOptions({
  method,
  allocation,
  norms,
  select,
  attention,
  kappa,
  rho,
  within,
}: CalibrationOptions) {
  switch (method) {
    case 'wina':
      return { norms: norms ?? 'projection', ...(select && { select }) };
    case 'chess':
      return { attention: attention ?? true, kappa: kappa ?? 'rms' };
    case 'r-sparse':
      return allocation === 'evolutionary' ? {} : { rho: rho ?? 0.9 };
    case 'groups':
      return { within: within ?? 32 };
    default:
      return {};
  }
}
