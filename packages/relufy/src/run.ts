// Parses the command line with commander and runs one subcommand. Exit codes: 0 done, 1 an error of the user's or the
// machine's, 2 a command line that does not parse, 130 ended by Ctrl-C, 143 by SIGTERM.
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { subcommands } from './commands/index.js';
import { type Failure, failureOf } from './failure.js';
import { tell } from './output.js';

const examples = `
Examples:
  $ relufy chat                                          talk to a small model
  $ relufy chat HuggingFaceTB/SmolLM2-360M-Instruct      talk to a larger one; "relufy models --chat" lists some
  $ echo "Tell me a story about a fox." | relufy chat    one answer per line of input
  $ relufy generate --prompt "Once upon a time" --max-new-tokens 50 --temperature 0
  $ relufy generate --model ./my-model --prompt - --json < prompt.txt
  $ relufy inspect llama-tales --program

relufy help COMMAND tells more about a command.`;

/** Runs a command line and sets the process's exit code. */
export async function run(args: readonly string[]): Promise<void> {
  quietOnClosedPipe();
  process.on('uncaughtException', (error) => {
    end(failureOf(error));
    process.exit();
  });
  try {
    const program = await createProgram(args);
    const [first, topic] = args;
    // of an unknown topic commander would print the help of all, and not say why
    const asked = first === 'help' && topic !== undefined && !isSubcommand(topic) ? [topic] : args;
    await program.parseAsync(asked, { from: 'user' });
  } catch (error) {
    end(failureOf(error));
  }
}

const isSubcommand = (word: string): boolean => word === 'help' || subcommands.some(({ name }) => name === word);

async function createProgram(args: readonly string[]): Promise<Command> {
  const program = prepare(new Command('relufy'));
  program
    .description('Run activation-sparse language models: the weights of inactive neurons are not read.')
    .version(version(), '-V, --version', 'print the version')
    .usage('COMMAND [options]')
    .addHelpText('after', examples)
    .helpCommand('help [command]', 'tell about a command')
    .showSuggestionAfterError();
  const wanted = args.find((arg) => !arg.startsWith('-') && arg !== 'help');
  for (const { name, summary, load } of subcommands) {
    const command = prepare(program.command(name).description(summary).usage('[options]'));
    if (name === wanted) (await load()).define(command, prepare);
  }
  return program;
}

/** Errors are thrown, in one line each, and not printed by commander. */
function prepare(command: Command): Command {
  return command
    .exitOverride()
    .helpOption('-h, --help', 'print this help')
    .configureOutput({ outputError: () => {} });
}

function version(): string {
  const file = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(file) as { version: string }).version;
}

function end({ exitCode, message }: Failure): void {
  if (message !== undefined) tell(message);
  process.exitCode = exitCode;
}

/** `relufy ... | head` closes our output early: that is no error. */
function quietOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
}
