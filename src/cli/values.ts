// Values that several commands take: paths, modes, numbers, the management socket. What makes no sense is a UsageError.

import { resolve } from 'node:path';
import { parseMac } from '../core/address.ts';
import type { ParsedCommand } from './parse.ts';
import type { ProcessOptions } from './run-service.ts';
import { UsageError } from './usage-error.ts';

const DEFAULT_MGMT_MODE = 0o600; // as vde_switch's

/** Where a console is served: absolute path, permissions and group (a name or number). */
export interface ManagementSocket {
  readonly path: string;
  readonly mode: number;
  readonly group: string | null;
}

export function absolutePath(option: string, value: string, cwd: string): string {
  if (value.startsWith('-')) {
    throw new UsageError(
      `option '${option}' got '${value}', which looks like an option`,
      `write ./${value} if it is a file`,
    );
  }
  if (value.includes('\0')) throw new UsageError(`option '${option}': a path cannot hold NUL bytes`);
  return resolve(cwd, value);
}

/** Permissions, 0 to 0o777; null for null. */
export function octalMode(option: string, value: string | null, most = 0o777): number | null {
  if (value === null) return null;
  const mode = /^[0-7]{1,5}$/.test(value) ? Number.parseInt(value, 8) : most + 1;
  if (mode > most) {
    throw new UsageError(
      `option '${option}': '${value}' is not a mode`,
      `expected octal digits from 0 to ${most.toString(8)}, for example 660`,
    );
  }
  return mode;
}

/** The socket of --mgmt with --mgmtmode and --mgmtgroup; null without it. */
export function managementSocket(
  path: string | null,
  mode: string | null,
  group: string | null,
): ManagementSocket | null {
  if (path !== null) return { path, mode: octalMode('--mgmtmode', mode) ?? DEFAULT_MGMT_MODE, group };
  const alone = mode !== null ? '--mgmtmode' : group !== null ? '--mgmtgroup' : null;
  if (alone !== null) throw new UsageError(`option '${alone}' needs the management socket: --mgmt SOCK`);
  return null;
}

/** A whole number from `least` to `most`; with `radix` also in C's notation (0x10, 017). */
export function wholeNumber(option: string, value: string, least: number, most: number, anyRadix = false): number {
  const octal = /^0[0-7]+$/.test(value);
  const fits = /^\d{1,10}$/.test(value) || (anyRadix && /^0x[0-9a-f]{1,8}$/i.test(value));
  const number = !fits ? Number.NaN : anyRadix && octal ? Number.parseInt(value, 8) : Number(value);
  if (!(number >= least && number <= most)) {
    throw new UsageError(`option '${option}': '${value}' is not a number from ${least} to ${most}`);
  }
  return number;
}

/** A MAC address, `aa:bb:cc:dd:ee:ff` or with dots; a unicast one. */
export function stationAddress(option: string, value: string): Uint8Array {
  const mac = parseMac(value.replaceAll('.', ':'));
  if (mac === null || (mac[0]! & 1) !== 0 || mac.every((byte) => byte === 0)) {
    throw new UsageError(
      `option '${option}': '${value}' is not the address of one station`,
      'expected six hexadecimal bytes, for example 00:ff:11:22:33:44',
    );
  }
  return mac;
}

/** One of the words that an option takes; the first when it was not given. */
export function oneOf<T extends string>(option: string, value: string | null, words: readonly [T, ...T[]]): T {
  if (value === null) return words[0];
  const word = words.find((w) => w === value);
  if (word !== undefined) return word;
  throw new UsageError(`option '${option}': '${value}' is not one of ${words.join(', ')}`);
}

// What of them a command line has, by the key of the option.

/** The text of an option, or null. */
export function textOf(command: ParsedCommand, key: string): string | null {
  const value = command.values.get(key);
  return typeof value === 'string' ? value : null;
}

/** The absolute path that an option names, or null. */
export function pathOf(command: ParsedCommand, key: string, cwd: string): string | null {
  const value = textOf(command, key);
  return value === null ? null : absolutePath(`--${key}`, value, cwd);
}

/** The options of shared-options.ts that concern the process. */
export function processOf(command: ParsedCommand, cwd: string): ProcessOptions {
  const quiet = command.values.has('quiet');
  const verbose = command.values.has('verbose');
  if (quiet && verbose) throw new UsageError("'--quiet' and '--verbose' exclude each other");
  return {
    daemon: command.values.has('daemon'),
    pidfile: pathOf(command, 'pidfile', cwd),
    log: pathOf(command, 'log', cwd),
    quiet,
    verbose,
  };
}

/** The management socket of CONSOLE_OPTIONS, or null. */
export const consoleOf = (command: ParsedCommand, cwd: string): ManagementSocket | null =>
  managementSocket(pathOf(command, 'mgmt', cwd), textOf(command, 'mgmtMode'), null);

/** A whole number in a range, or null when the option was not given. */
export function numberOf(command: ParsedCommand, key: string, least: number, most: number): number | null {
  const value = textOf(command, key);
  return value === null ? null : wholeNumber(`--${key}`, value, least, most);
}
