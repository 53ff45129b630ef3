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
  /** Values of repeatable options in the order of the command line, over all options. */
  readonly sequence: readonly { readonly key: string; readonly value: string }[];
}

function commanderOption(spec: OptionSpec, note: (value: string) => void): Option {
  const { argument } = spec;
  const value =
    argument.kind === 'none' ? '' : argument.kind === 'required' ? ` <${argument.name}>` : ` [${argument.name}]`;
  const option = new Option(`--${canonicalName(spec)}${value}`, spec.help);
  // `--no-host` is an option of its own, not the opposite of `--host`.
  option.negate = false;
  option.attributeName = () => spec.key;
  if (spec.repeatable) {
    option.argParser((text: string, previous: string[] | undefined) => {
      note(text);
      return [...(previous ?? []), text];
    });
  }
  return option;
}

/** The command as commander knows it: silent, and throwing instead of exiting. */
export function buildCommand(spec: CommandSpec): {
  command: Command;
  options: Map<string, Option>;
  sequence: { key: string; value: string }[];
} {
  const command = new Command(spec.name)
    .exitOverride()
    .configureOutput({ writeOut: () => {}, writeErr: () => {} })
    .helpOption(false)
    .allowExcessArguments(false);
  for (const positional of spec.positionals) {
    command.argument(`[${positional.name}${positional.rest ? '...' : ''}]`, positional.help);
  }
  const options = new Map<string, Option>();
  const sequence: { key: string; value: string }[] = [];
  for (const optionSpec of spec.options) {
    const { key } = optionSpec;
    const option = commanderOption(optionSpec, (value) => sequence.push({ key, value }));
    options.set(key, option);
    command.addOption(option);
  }
  return { command, options, sequence };
}

/**
 * Parses words that normaliseArgv gave.
 *
 * @throws UsageError  for more positional words than the command takes
 */
export function parseNormalArgv(spec: CommandSpec, argv: readonly string[]): ParsedCommand {
  const { command, options, sequence } = buildCommand(spec);
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
  for (const key of options.keys()) {
    const value = found[key];
    if (value === true || typeof value === 'string' || Array.isArray(value)) values.set(key, value);
  }
  return { values, positionals: command.args, sequence };
}

/** Normalises and parses; for commands and tests that do not treat --help apart. */
export const parseCommandLine = (spec: CommandSpec, words: readonly string[]): ParsedCommand =>
  parseNormalArgv(spec, normaliseArgv(spec, words).argv);
