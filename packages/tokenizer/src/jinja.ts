// The second entry: Jinja templates as Python's jinja2 runs them, for who has templates other than chats.
export { pythonText } from './jinja/convert.js';
export { markFloat, parsePythonJson } from './jinja/json-floats.js';
export { parseLiteral } from './jinja/literal.js';
export {
  chatSurroundings,
  compileTemplate,
  type Surroundings,
  type Template,
  TemplateError,
  taskSurroundings,
} from './jinja/template.js';
