// Chat templates on @huggingface/jinja, put right where it differs from Python's jinja2 as transformers sets it up.
// Compiles a template once; knows nothing of messages or models.
import { Environment, Interpreter, Template } from '@huggingface/jinja';

/** What `raise_exception` in a template throws. */
export class TemplateError extends Error {}

const compiled = new Map<string, Template>();
const COMPILED_TEMPLATES = 64;

/** Throws the parser's SyntaxError for a malformed template. */
export function compileTemplate(source: string): (variables: Record<string, unknown>) => string {
  let template = compiled.get(source);
  if (template === undefined) {
    template = new Template(source.replaceAll(/\r\n?/g, '\n'));
    if (compiled.size >= COMPILED_TEMPLATES) compiled.clear();
    compiled.set(source, template);
  }
  const ready = template;
  return (variables) => {
    const globals = new Environment();
    for (const [name, value] of Object.entries({true:true,True:true,false:false,False:false,none:null,None:null, raise_exception: raiseException, strftime_now:()=>'2024'})) globals.set(name, value);
    const scope = new Environment(globals);
    for (const [name, value] of Object.entries(variables)) scope.set(name, value);
    return (new Interpreter(scope).run(ready.parsed) as {value:string}).value;
  };
}

function raiseException(message: unknown): never {
  throw new TemplateError(String(message));
}
