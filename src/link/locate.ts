// Where a switch is: from what the user wrote to the control sockets to try, the same way the plug library does it.
//
//   nothing              $HOME/.vdeplug/default, else $HOME/.vde2/default.switch, else /var/run/vde.ctl, /tmp/vde.ctl
//   a regular file       its first line is used instead
//   vde://PATH           PATH
//   PATH[7]              port 7; a stream socket PATH/7 is tried first (a port group)
//   PATH[name]           the stream socket PATH/name, else any port of PATH
//   PATH[port=7/group=G/mode=0770]
//
// In brackets `/` separates options; quotes, backslash and %XX take characters as they are.

import { closeSync, lstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { VdeError } from '../core/errors.ts';
import { ANY_PORT, MAX_PORT } from './vde-protocol.ts';

/** Control directories that are tried when none is named. */
export const DEFAULT_PLACES: readonly string[] = ['/var/run/vde.ctl', '/tmp/vde.ctl'];

/** Where a switch makes its control directory when none is named. */
export const defaultControlDirectory = (): string => DEFAULT_PLACES[process.geteuid!() === 0 ? 0 : 1]!;

export interface Candidate {
  /** Path of a stream socket that takes requests. */
  ctl: string;
  /** Port to ask for there, or ANY_PORT. */
  port: number;
}

export interface Located {
  candidates: Candidate[];
  /** Group and mode of the client's own socket, when the text says so. */
  group: string | null;
  mode: number | null;
}

/**
 * Finds the control sockets that a text may mean. The file system is looked at, no connection is made. Throws
 * ERR_VDE_BAD_ADDRESS.
 *
 * @param text         what the user wrote, '' for nothing
 * @param home         home directory, '' when there is none
 * @param defaultPort  port to ask for when the text does not say, or ANY_PORT
 */
export function locate(text: string, home: string, defaultPort: number): Located {
  const name = firstLine(text === '' ? defaultName(home) : text);
  const { path, port, group, mode } = splitSuffix(stripScheme(name), defaultPort);
  const places = path === '' ? DEFAULT_PLACES : [resolved(path)];
  const candidates = places.flatMap((dir) => {
    const ctl = join(dir, 'ctl');
    if (typeof port === 'string')
      return [
        { ctl: join(dir, port), port: ANY_PORT },
        { ctl, port: ANY_PORT },
      ];
    if (port > 0)
      return [
        { ctl: join(dir, String(port)), port: ANY_PORT },
        { ctl, port },
      ];
    return [{ ctl, port }];
  });
  return { candidates, group, mode };
}

/**
 * What a text stands for before its scheme is looked at: nothing for the default's name, and a regular file for its first
 * line. Throws ERR_VDE_BAD_ADDRESS.
 */
export function namedAddress(text: string, home: string): string {
  return text.includes('://') ? text : firstLine(text === '' ? defaultName(home) : text);
}

function defaultName(home: string): string {
  if (home === '') return '';
  for (const name of ['.vdeplug/default', '.vde2/default.switch']) {
    const path = join(home, name);
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return path;
  }
  return '';
}

/** The first line of the regular file `name`; `name` itself when it is not one. */
function firstLine(name: string): string {
  if (name === '' || !isFile(name)) return name;
  const fd = openSync(name, 'r');
  try {
    const bytes = Buffer.alloc(4096);
    const line = bytes.toString('utf8', 0, readSync(fd, bytes)).split('\n')[0]!;
    if (line === '') throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: the first line of ${name} names no switch`);
    return line;
  } finally {
    closeSync(fd);
  }
}

function isFile(path: string): boolean {
  try {
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function stripScheme(text: string): string {
  const at = text.indexOf('://');
  if (at < 0) return text;
  if (text.slice(0, at) === 'vde') return text.slice(at + 3);
  throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: "${text}" is not the control directory of a switch (nor vde://PATH)`);
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // the attempt to connect will say what is wrong with it
  }
}

interface Suffix {
  path: string;
  /** A number, ANY_PORT, or the name of a port group. */
  port: number | string;
  group: string | null;
  mode: number | null;
}

/** Takes `[...]` off the end of a path. */
function splitSuffix(text: string, defaultPort: number): Suffix {
  const found: Suffix = { path: text, port: defaultPort, group: null, mode: null };
  const open = text.indexOf('[');
  if (open < 0 || !text.endsWith(']')) return found;
  found.path = text.slice(0, open);
  for (const option of splitOptions(text.slice(open + 1, -1))) {
    const equals = option.indexOf('=');
    const key = equals < 0 ? 'port' : option.slice(0, equals);
    const value = option.slice(equals + 1);
    if (value === '') continue;
    if (key === 'port' || key === 'portgroup') found.port = portOf(value, text);
    else if (key === 'group') found.group = value;
    else if (key === 'mode' && /^[0-7]{1,4}$/.test(value)) found.mode = Number.parseInt(value, 8);
    else
      throw new VdeError('ERR_VDE_BAD_ADDRESS', `vde: "${option}" in ${text}: expected port=N, group=G or mode=OCTAL`);
  }
  return found;
}

function portOf(value: string, text: string): number | string {
  if (/^\d+$/.test(value)) {
    if (Number(value) <= MAX_PORT) return Number(value);
  } else if (!value.includes('/') && value !== '.' && value !== '..') return value;
  throw new VdeError(
    'ERR_VDE_BAD_ADDRESS',
    `vde: "${value}" in ${text} is not a port (0 to ${MAX_PORT}) or a port group`,
  );
}

/** Splits at `/`, with quoting undone. */
export function splitOptions(text: string): string[] {
  const parts = [''];
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    let taken = c;
    if (quote === "'" && c !== "'") taken = c;
    else if (c === '\\') taken = text[++i] ?? '';
    else if (c === '%' && /^[0-9a-f]{2}$/i.test(text.slice(i + 1, i + 3))) {
      taken = String.fromCharCode(Number.parseInt(text.slice(i + 1, i + 3), 16));
      i += 2;
    } else if (c === quote) {
      quote = '';
      continue;
    } else if (quote === '' && (c === "'" || c === '"')) {
      quote = c;
      continue;
    } else if (quote === '' && c === '/') {
      parts.push('');
      continue;
    }
    parts[parts.length - 1] += taken;
  }
  return parts;
}
