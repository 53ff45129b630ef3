// --config FILE: options in a file, one on a line, by their long names.
//
//   # comment
//   host 10.0.5.0/24
//   dhcp
//   tcpfwd 8022:10.0.5.15:22
//   tcpfwd 8080:10.0.5.15:80
//
// The names are those of the command line, in full; the value is the rest of the line, without quotes. What the command
// line says counts more; options that may be given more than once add up, rules of the command line first. Whatever cannot be read refuses the file as a
// whole, with the number of the line.

import { readFileSync, statSync } from 'node:fs';
import { normaliseArgv } from './argv.ts';
import type { CommandSpec } from './options.ts';
import { type ParsedCommand, parseNormalArgv } from './parse.ts';
import { UsageError } from './usage-error.ts';

const MAX_BYTES = 65_536;

/** Options that make no sense in a file. */
const COMMAND_LINE_ONLY: readonly string[] = ['config', 'help', 'version'];
/** Options that exclude each other: one on the command line hides the other in the file. */
const OPPOSITES: readonly (readonly [string, string])[] = [
  ['quiet', 'verbose'],
  ['verbose', 'quiet'],
];

/**
 * Reads a configuration file and has `configure` make sense of it, which may be called more than once.
 *
 * @throws UsageError  `FILE:LINE: what is wrong`
 */
export function readConfigFile<T>(spec: CommandSpec, path: string, configure: (file: ParsedCommand) => T): T {
  const lines = textOf(path).split('\n');
  const upTo = (line: number): T => configure(parseConfigText(spec, lines.slice(0, line).join('\n'), path));
  try {
    return upTo(lines.length);
  } catch (error) {
    if (!(error instanceof UsageError) || error.message.startsWith(`${path}:`)) throw error;
    const line = guiltyLine(lines.length, error.message, upTo);
    if (line === 0) throw error;
    throw new UsageError(`${path}:${line}: ${error.message}`, error.hint, error.code);
  }
}

function textOf(path: string): string {
  try {
    const stats = statSync(path);
    if (!stats.isFile() || stats.size > MAX_BYTES) throw new Error(`not a file of at most ${MAX_BYTES} bytes`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
    throw new UsageError(`cannot read the configuration file ${path}: ${why}`, 'see --config in the manual');
  }
}

/**
 * The line that the file of `count` lines is refused for: with the lines before it the file is not refused that way, with
 * it it is. 0 when it is not the file's fault.
 */
function guiltyLine(count: number, message: string, upTo: (line: number) => unknown): number {
  const refused = (line: number): boolean => {
    try {
      upTo(line);
      return false;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return error.message === message;
    }
  };
  if (refused(0)) return 0;
  let [good, bad] = [0, count];
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1;
    if (refused(middle)) bad = middle;
    else good = middle;
  }
  return bad;
}

/** Parses the text of a configuration file; `path` is for messages. */
export function parseConfigText(spec: CommandSpec, text: string, path: string): ParsedCommand {
  const words: string[] = [];
  text.split('\n').forEach((line, i) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return;
    try {
      words.push(wordOf(spec, trimmed));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      throw new UsageError(`${path}:${i + 1}: ${error.message}`, error.hint, error.code);
    }
  });
  return parseNormalArgv(spec, normaliseArgv(spec, words).argv);
}

/** One line as a word of the command line, tried on its own. */
function wordOf(spec: CommandSpec, line: string): string {
  const [, name, value] = /^(\S+)\s*(.*)$/s.exec(line) as unknown as [string, string, string];
  const option = spec.options.find((o) => o.long.includes(name));
  if (option === undefined) {
    throw new UsageError(`there is no option '${name}'`, 'expected the long name of an option, without dashes');
  }
  if (COMMAND_LINE_ONLY.includes(option.key)) {
    throw new UsageError(`option '${name}' is for the command line only`);
  }
  if (value === '' && option.argument.kind === 'required') {
    throw new UsageError(`option '${name}' needs a value: ${name} ${option.argument.name}`);
  }
  const word = value === '' ? `--${name}` : `--${name}=${value}`;
  normaliseArgv(spec, [word]);
  return word;
}

/** Repeatable options that say together what one alone does: those of the command line replace those of the file. */
const REPLACED: readonly string[] = ['host', 'nameserver'];

/** The command line over a file. */
export function mergeCommands(command: ParsedCommand, file: ParsedCommand): ParsedCommand {
  const values = new Map(file.values);
  for (const [key, hides] of OPPOSITES) if (command.values.has(key)) values.delete(hides);
  if (command.positionals.length > 0) values.delete('sock');
  for (const [key, value] of command.values) {
    const below = values.get(key);
    const adds = Array.isArray(value) && Array.isArray(below) && !REPLACED.includes(key);
    values.set(key, adds ? [...below, ...value] : value);
  }
  return { values, positionals: command.positionals, sequence: [...command.sequence, ...file.sequence] };
}
