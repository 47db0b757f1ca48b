// /v1/files and /v1/batches over HTTP. Does not own what a batch is, nor where it lies (batches.ts).
import { anObject, aText } from '@relufy/tensor';
import type { Context } from 'hono';
import { ApiError, badField } from './api-error.js';
import type { Batches } from './batches.js';
import type { Body } from './body.js';
import type { Call } from './service.js';

type Post = (paths: readonly string[], route: (call: Call, body: Body) => Promise<Response>) => void;
type Raw = (
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  route: (context: Context, call: Call) => Promise<Response>,
) => void;

/** `open` gives what there is once it is connected; undefined: the server has no queue. */
export function batchRoutes(post: Post, raw: Raw, open: () => Promise<Batches> | undefined): void {
  const batches = (): Promise<Batches> => {
    const found = open();
    if (found) return found;
    throw new ApiError(501, 'This server takes no batches. Start it with --batches redis://host:6379.', {
      code: 'no_queue',
    });
  };
  const id = (context: Context): string => context.req.param('id') ?? '';

  raw('POST', '/v1/files', async (_, { request }) => {
    const store = await batches();
    const { file, purpose } = await formOf(request, store.fileBytes);
    return Response.json(await store.upload(file.name, purpose, await file.text()));
  });
  raw('GET', '/v1/files/:id', async (context) => Response.json(await (await batches()).file(id(context))));
  raw('GET', '/v1/files/:id/content', async (context) => {
    const text = await (await batches()).content(id(context));
    return new Response(text, { headers: { 'Content-Type': 'application/jsonl; charset=utf-8' } });
  });
  raw('DELETE', '/v1/files/:id', async (context) => Response.json(await (await batches()).remove(id(context))));
  post(['/v1/batches'], async (_, body) => {
    const asked = {
      inputFileId: body.required<string>('input_file_id', aText),
      endpoint: body.required<string>('endpoint', aText),
      window: body.get<string>('completion_window', aText) ?? '24h',
      metadata: body.get<object>('metadata', anObject),
    };
    return Response.json(await (await batches()).create(asked));
  });
  raw('GET', '/v1/batches', async (context) => {
    const limit = Number(context.req.query('limit') ?? 20);
    if (!Number.isInteger(limit) || limit < 1 || limit > 100)
      throw badField('limit', 'a whole number from 1 to 100', `${limit}`);
    return Response.json(await (await batches()).list(limit));
  });
  raw('GET', '/v1/batches/:id', async (context) => Response.json(await (await batches()).get(id(context))));
  raw('POST', '/v1/batches/:id/cancel', async (context) => Response.json(await (await batches()).cancel(id(context))));
}

async function formOf(request: Request, most: number): Promise<{ readonly file: File; readonly purpose: string }> {
  const length = Number(request.headers.get('content-length') ?? Number.NaN);
  if (!(length <= most + 10_000))
    throw new ApiError(413, `file: expected at most ${most} bytes, with their length told.`, {
      param: 'file',
      code: 'body_too_large',
    });
  let form: FormData;
  try {
    form = await request.formData();
  } catch {
    throw new ApiError(400, 'The body: expected a form with "file" and "purpose" (multipart/form-data).', {
      code: 'invalid_form',
    });
  }
  const [file, purpose] = [form.get('file'), form.get('purpose') ?? 'batch'];
  if (!(file instanceof File)) throw badField('file', 'a file', file === null ? 'nothing' : 'a text');
  if (typeof purpose !== 'string') throw badField('purpose', 'a text', 'a file');
  return { file, purpose };
}
