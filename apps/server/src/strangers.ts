// Who may ask at all, before any key: pages of a browser from elsewhere, and requests under other names, may not.
import { ApiError } from './api-error.js';

export interface Known {
  /** Origins whose pages may ask, beside the server's own. */
  readonly origins?: readonly string[] | undefined;
  /** Names by which the server may be called; undefined: any. */
  readonly hosts?: readonly string[] | undefined;
}

/**
 * A browser lets any page send to this machine, and after a change of a name server even read the answers: requests of
 * pages from elsewhere, and under names that are not ours, are refused.
 */
export function refuseStrangers(request: Request, { origins = [], hosts }: Known): void {
  const { host, hostname } = new URL(request.url);
  if (hosts && !hosts.includes(hostname))
    throw new ApiError(403, 'The Host header names another server. Start this one with --allow-host NAME.', {
      code: 'host_not_allowed',
    });
  const origin = request.headers.get('origin');
  if (origin === null || origins.includes('*') || origins.includes(origin)) return;
  if (URL.canParse(origin) && new URL(origin).host === host) return;
  throw new ApiError(403, 'The page that asks comes from elsewhere. Start the server with --cors ORIGIN to let it.', {
    code: 'origin_not_allowed',
  });
}
