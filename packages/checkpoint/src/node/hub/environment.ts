// The environment variables that the Hugging Face tools share, read once a call.
// Owns: their defaults and precedence, as in huggingface_hub/constants.py, so that Python and JavaScript use one cache,
// one token and one endpoint. Does not own: what is done with them.
import { homedir } from 'node:os';
import { join } from 'node:path';
import { RelufyError, show } from '@relufy/tensor';
import { longestWaitMs } from '../../arguments.js';
import { readSmallText } from '../named-file.js';

export type Environment = Readonly<Record<string, string | undefined>>;

const isTrue = (value: string | undefined): boolean => /^(1|true|yes|on)$/i.test(value ?? '');

/** An empty variable counts as unset. */
const pick = (env: Environment, ...names: string[]): string | undefined => names.map((name) => env[name]).find(Boolean);

const expand = (path: string): string =>
  path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path;

export const hfHome = (env: Environment): string =>
  expand(pick(env, 'HF_HOME') ?? join(pick(env, 'XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface'));

/** Where models are kept. */
export const hubCacheDir = (env: Environment): string =>
  expand(pick(env, 'HF_HUB_CACHE', 'HUGGINGFACE_HUB_CACHE') ?? join(hfHome(env), 'hub'));

export function hubEndpoint(env: Environment): string {
  const endpoint = (pick(env, 'HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, '');
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol))
    throw new RelufyError(
      'option',
      `HF_ENDPOINT: expected an address such as "https://huggingface.co", got ${show(endpoint)}. Correct it, or unset it.`,
    );
  const { username, password } = new URL(endpoint);
  if (username !== '' || password !== '')
    throw new RelufyError(
      'option',
      'HF_ENDPOINT: expected an address without a user name or password, got one with them. Remove them; HF_TOKEN holds the token.',
    );
  return endpoint;
}

export const isOffline = (env: Environment): boolean => isTrue(pick(env, 'HF_HUB_OFFLINE', 'TRANSFORMERS_OFFLINE'));

export const isXetDisabled = (env: Environment): boolean => isTrue(env.HF_HUB_DISABLE_XET);

/** How long a download may stand still. */
export function downloadTimeoutMs(env: Environment): number {
  const seconds = Number(pick(env, 'HF_HUB_DOWNLOAD_TIMEOUT') ?? 10);
  return Math.min(longestWaitMs, (seconds > 0 ? seconds : 10) * 1000);
}

/** The token of the user: a variable, or the file that `hf auth login` writes. */
export async function hubToken(env: Environment): Promise<string | undefined> {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const given = pick(env, 'HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN');
  const file = expand(pick(env, 'HF_TOKEN_PATH') ?? join(hfHome(env), 'token'));
  const text = given ?? (await readSmallText(file));
  return text.trim() || undefined;
}
