// The pattern by which a config names parameters. Somebody else may have written the config, and JavaScript's engine may never
// come to the end of one, so it runs within a budget of steps.
// Does not own what is done with the parameters that it names (step-options.ts).
import { boundedPattern } from '@relufy/tokenizer';

/** @throws SyntaxError for what is no pattern. */
export function parameterPattern(source: string): (name: string) => boolean {
  const from = { where: 'config: optimizer.groups match', file: 'the config', code: 'config' } as const;
  const pattern = boundedPattern(source, 'g', from);
  return (name) => {
    pattern.lastIndex = 0;
    return pattern.exec(name) !== null;
  };
}
