// Commander, fed from an option table.
//
// argv.ts has already resolved every abbreviation and attached every value; commander checks the words once more against
// its own definitions and collects the values.

import { Command, CommanderError, Option } from 'commander';
import { normaliseArgv } from './argv.ts';
import { type CommandSpec, canonicalName, type OptionSpec } from './options.ts';
import { UsageError } from './usage-error.ts';

/** What was on the command line, by option key: true for flags, text or (repeatable options) a list of texts. */
export interface ParsedCommand {
  readonly values: ReadonlyMap<string, true | string | readonly string[]>;
  readonly positionals: readonly string[];
}

function commanderOption(spec: OptionSpec): Option {
  const { argument } = spec;
  const value =
    argument.kind === 'none' ? '' : argument.kind === 'required' ? ` <${argument.name}>` : ` [${argument.name}]`;
  const option = new Option(`--${canonicalName(spec)}${value}`, spec.help);
  if (spec.repeatable) option.argParser((text: string, previous: string[] | undefined) => [...(previous ?? []), text]);
  return option;
}

/** The command as commander knows it: silent, and throwing instead of exiting. */
export function buildCommand(spec: CommandSpec): { command: Command; options: Map<string, Option> } {
  const command = new Command(spec.name)
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} })
    .helpOption(false)
    .allowExcessArguments(false);
  for (const positional of spec.positionals) command.argument(`[${positional.name}]`, positional.help);
  const options = new Map<string, Option>();
  for (const optionSpec of spec.options) {
    const option = commanderOption(optionSpec);
    options.set(optionSpec.key, option);
    command.addOption(option);
  }
  return { command, options };
}

/**
 * Parses words that normaliseArgv gave.
 *
 * @throws UsageError  for more positional words than the command takes
 */
export function parseNormalArgv(spec: CommandSpec, argv: readonly string[]): ParsedCommand {
  const { command, options } = buildCommand(spec);
  try {
    command.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.excessArguments') {
      const words = argv.slice(argv.indexOf('--') + 1);
      throw new UsageError(`too many arguments: ${words.map((word) => `'${word}'`).join(' ')}`);
    }
    throw new UsageError(error.message.replace(/^error: /, ''));
  }
  const found: Record<string, unknown> = command.opts();
  const values = new Map<string, true | string | readonly string[]>();
  for (const [key, option] of options) {
    const value = found[option.attributeName()];
    if (option.negate ? value === false : value === true) values.set(key, true);
    else if (typeof value === 'string' || Array.isArray(value)) values.set(key, value);
  }
  return { values, positionals: command.args };
}

/** Normalises and parses; for commands and tests that do not treat --help apart. */
export const parseCommandLine = (spec: CommandSpec, words: readonly string[]): ParsedCommand =>
  parseNormalArgv(spec, normaliseArgv(spec, words).argv);
