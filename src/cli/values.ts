// Values that several commands take: paths, modes, numbers, the management socket. What makes no sense is a UsageError.

import { resolve } from 'node:path';
import { parseMac } from '../core/address.ts';
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
