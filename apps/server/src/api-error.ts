// The errors that a client gets: a status, and the body that OpenAI's clients read, `{ error: { message, type, code,
// param } }`. Turns whatever was thrown into one. Does not own the wording of a model's errors (RelufyError).
import { RelufyError } from '@relufy/tensor';

export interface ApiErrorDetails {
  /** The field of the request that is wrong, as the client wrote it: `messages[0].content`. */
  readonly param?: string;
  /** What a program may branch on. */
  readonly code?: string;
  /** Sent as Retry-After: when it is worth trying again. */
  readonly retryAfterSeconds?: number;
}

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code: string | null;
    readonly param: string | null;
  };
}

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  500: 'server_error',
  501: 'not_supported_error',
  503: 'unavailable_error',
};

/** Thrown by a route; answered with its status. */
export class ApiError extends Error {
  readonly status: number;
  readonly details: ApiErrorDetails;

  constructor(status: number, message: string, details: ApiErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.status = status;
    this.details = details;
  }

  get body(): ErrorBody {
    return {
      error: {
        message: this.message,
        type: types[this.status] ?? 'invalid_request_error',
        code: this.details.code ?? null,
        param: this.details.param ?? null,
      },
    };
  }

  /** Ollama's clients read `error` as a text. */
  get ollamaBody(): { readonly error: string } {
    return { error: this.message };
  }

  get headers(): Readonly<Record<string, string>> {
    const { retryAfterSeconds } = this.details;
    return {
      ...(retryAfterSeconds !== undefined && { 'Retry-After': String(Math.max(1, Math.ceil(retryAfterSeconds))) }),
      ...(this.status === 401 && { 'WWW-Authenticate': 'Bearer' }),
    };
  }
}

/** A field of a request that cannot be what it is. */
export function badField(param: string, expected: string, got: string): ApiError {
  return new ApiError(400, `${param}: expected ${expected}, got ${got}.`, { param, code: 'invalid_value' });
}

/** What `generate` calls its options, and requests their fields. */
const fieldOf: ReadonlyMap<string, string> = new Map([
  ['jsonSchema', 'response_format'],
  ['tools', 'tools'],
  ['grammar', 'grammar'],
]);

/** What whoever sent the request can do something about. */
const clientCodes: ReadonlySet<string> = new Set(['input', 'option', 'tokenizer']);

/** What to answer to anything that was thrown; undefined of it is told but what is meant for the client. */
export function apiErrorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (RelufyError.is(error)) {
    if (clientCodes.has(error.code)) {
      const [whole, option = ''] = /^generate option "(\w+)"/.exec(error.message) ?? [];
      const param = fieldOf.get(option);
      if (whole !== undefined && param !== undefined)
        return new ApiError(400, param + error.message.slice(whole.length), { param, code: 'invalid_value' });
      const tooLong = /too long|at most \d+ \(the context\)/.test(error.message);
      return new ApiError(400, error.message, { code: tooLong ? 'context_length_exceeded' : 'invalid_value' });
    }
    return new ApiError(503, error.message, { code: `model_${error.code}` }, { cause: error });
  }
  return new ApiError(500, 'An internal error. The log of the server has it.', {}, { cause: error });
}
