// From words to what a command is to do: --help and --version, refusals, and the parsed command line.
//
// Only what is needed is loaded: --help and --version touch neither commander nor what the command is about.

import { normaliseArgv } from './argv.ts';
import type { CommandSpec, OptionSpec } from './options.ts';
import type { ParsedCommand } from './parse.ts';
import { guardStdio, printable } from './stdio.ts';
import { EXIT_USAGE, UsageError } from './usage-error.ts';

/**
 * Reads a command line and has `configure` make sense of it.
 *
 * @param words      command line without node and script
 * @param configure  gives what the command is to do; what it throws as UsageError is told to the user
 * @returns null when the command is done: help or version was asked for, or the words made no sense; the exit status is
 *          set then
 */
export async function readCommandLine<T>(
  spec: CommandSpec,
  words: readonly string[],
  configure: (command: ParsedCommand) => T | Promise<T>,
): Promise<T | null> {
  guardStdio();
  try {
    const { argv, immediate } = normaliseArgv(spec, words);
    if (immediate !== null) {
      process.stdout.write(await immediateText(spec, immediate));
      return null;
    }
    const { parseNormalArgv } = await import('./parse.ts');
    return await configure(parseNormalArgv(spec, argv));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const hint = error.hint === '' ? `try '${spec.name} --help'` : error.hint;
    process.stderr.write(`${spec.name}: ${printable(error.message)}\n${printable(hint)}\n`);
    process.exitCode = EXIT_USAGE;
    return null;
  }
}

async function immediateText(spec: CommandSpec, option: OptionSpec): Promise<string> {
  if (option.key === 'version') {
    const { packageVersion } = await import('./version.ts');
    return `${spec.name} (vdenet) ${packageVersion()}\n`;
  }
  const { renderHelp } = await import('./help.ts');
  return renderHelp(spec);
}

/** The working directory; when it has been deleted only absolute paths make sense, and `/` serves. */
export function workingDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return '/';
  }
}
