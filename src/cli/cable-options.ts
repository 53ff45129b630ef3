// Options that the commands which are cables have in common: process, help, and how they are read.

import { resolve } from 'node:path';
import type { OptionSpec } from './options.ts';
import type { ParsedCommand } from './parse.ts';
import type { ProcessOptions } from './run-service.ts';
import { UsageError } from './usage-error.ts';

const PROCESS = 'Process';
const HELP = 'Help';

const flag = (key: string, short: readonly string[], group: string, help: string): OptionSpec => ({
  key,
  short,
  long: [key],
  argument: { kind: 'none' },
  group,
  help,
});

/**
 * Process options, the last of a table.
 *
 * @param letters  one-letter names that the command has for them
 */
export const processOptions = (letters: { readonly daemon?: string; readonly pidfile?: string }): OptionSpec[] => [
  {
    ...flag('daemon', letters.daemon === undefined ? [] : [letters.daemon], PROCESS, ''),
    help: 'run in the background; returns when frames pass',
    details: 'When the start fails, the reason is on standard error and the exit status is not 0.',
  },
  {
    key: 'pidfile',
    short: letters.pidfile === undefined ? [] : [letters.pidfile],
    long: ['pidfile'],
    argument: { kind: 'required', name: 'FILE' },
    group: PROCESS,
    help: 'write the process id to FILE, remove it at the end',
    details: 'A file left by a process that is gone is taken over; that of a running one ends the start.',
  },
  {
    key: 'log',
    short: [],
    long: ['log'],
    added: true,
    argument: { kind: 'required', name: 'FILE' },
    group: PROCESS,
    help: 'append messages to FILE (mode 0600)',
  },
  { ...flag('quiet', [], PROCESS, 'print errors only'), added: true },
  { ...flag('verbose', [], PROCESS, 'print what happens in more detail'), added: true },
];

/** Help and version, with the one-letter name `h` for the first. */
export const HELP_OPTIONS: readonly OptionSpec[] = [
  { ...flag('help', ['h'], HELP, 'print this text'), immediate: true },
  { ...flag('version', [], HELP, 'print the version'), added: true, immediate: true },
];

/** The text of an option, or null. */
export function textOf(command: ParsedCommand, key: string): string | null {
  const value = command.values.get(key);
  return typeof value === 'string' ? value : null;
}

/** What was asked for by processOptions. */
export function processOf(command: ParsedCommand, cwd: string): ProcessOptions {
  const path = (key: string): string | null => {
    const value = textOf(command, key);
    return value === null ? null : resolve(cwd, value);
  };
  return {
    daemon: command.values.has('daemon'),
    pidfile: path('pidfile'),
    log: path('log'),
    quiet: command.values.has('quiet'),
    verbose: command.values.has('verbose'),
  };
}

/** An octal mode, or null when the option was not given. */
export function modeOf(command: ParsedCommand, key: string, option: string): number | null {
  const value = textOf(command, key);
  if (value === null) return null;
  if (/^0?[0-7]{1,3}$/.test(value)) return Number.parseInt(value, 8);
  throw new UsageError(`option '${option}': '${value}' is not a mode`, 'expected octal digits from 0 to 777');
}

/** A whole number in a range, or null when the option was not given. */
export function numberOf(
  command: ParsedCommand,
  key: string,
  option: string,
  low: number,
  high: number,
): number | null {
  const value = textOf(command, key);
  if (value === null) return null;
  const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= low && number <= high) return number;
  throw new UsageError(`option '${option}': '${value}' is not a number from ${low} to ${high}`);
}

/** A switch or other end as the user wrote it, its path absolute: a daemon works elsewhere. */
export const place = (text: string, cwd: string): string =>
  text === '' || text === '-' || text.includes('://') ? text : resolve(cwd, text);
