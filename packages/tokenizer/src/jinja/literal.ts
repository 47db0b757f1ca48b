// Python's ast.literal_eval: the value that a text spells out, with nothing computed.
import { withTemplateBudget } from './budget.js';
import { fromPython } from './convert.js';
import type { Expression } from './nodes.js';
import { negate } from './operators.js';
import { parseExpression } from './statements.js';
import { Dict, Tuple, type Value } from './values.js';

/** Lists and tuples become arrays, dictionaries objects. Throws where the text is no literal. */
export function parseLiteral(text: string): unknown {
  return withTemplateBudget(text.length, () => fromPython(literal(parseExpression(text.trim()))));
}

function literal(node: Expression): Value {
  switch (node.kind) {
    case 'const':
      return node.value;
    case 'list':
      return node.items.map(literal);
    case 'tuple':
      return new Tuple(node.items.map(literal));
    case 'dict':
      return Dict.of(node.pairs.map(([key, value]) => [literal(key), literal(value)] as const));
    case 'sign':
      return negate(node.operator, literal(node.of));
    default:
      throw new SyntaxError('expected a value without anything to compute');
  }
}
