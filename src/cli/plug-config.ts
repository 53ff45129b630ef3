// From the command lines of vde_plug and vde_plug2tap to a cable without loose ends.

import { resolve } from 'node:path';
import type { ParsedCommand } from './parse.ts';
import type { CableEnd, PlugAccess } from './plug-service.ts';
import type { ProcessOptions } from './run-service.ts';
import { UsageError } from './usage-error.ts';
import { octalMode, processOf, textOf, wholeNumber } from './values.ts';

export interface PlugConfig extends ProcessOptions {
  readonly first: CableEnd;
  readonly second: CableEnd;
  readonly description: string;
  readonly reconnect: boolean;
  readonly syslog: boolean;
  readonly iplog: boolean;
}

const MAX_PORT = 0xffffff; // 24 bits of the request

/** Splits the words of vde_plug at the first `=`: ours, and the command with its arguments (null: there is none). */
export function splitCommand(words: readonly string[]): { own: readonly string[]; command: readonly string[] | null } {
  const at = words.indexOf('=');
  return at < 0 ? { own: words, command: null } : { own: words.slice(0, at), command: words.slice(at + 1) };
}

/**
 * @param command  what stands behind `=`, or null
 * @param cwd      absolute; relative paths are taken from there
 * @throws UsageError
 */
export function vdePlugConfig(parsed: ParsedCommand, command: readonly string[] | null, cwd: string): PlugConfig {
  const [url = '', url2] = parsed.positionals;
  if (command !== null && (command[0] ?? '') === '')
    throw new UsageError("no command stands behind '='", 'expected vde_plug [URL] = COMMAND [ARGUMENT]...');
  if (command !== null && url2 !== undefined)
    throw new UsageError('a second URL and a command: only one of them can be the other end');
  const second: CableEnd =
    command !== null
      ? { kind: 'command', argv: command }
      : url2 !== undefined
        ? { kind: 'url', url: absoluteAddress(url2, cwd), access: access(parsed, '2') }
        : { kind: 'stdio' };
  if (second.kind !== 'url')
    for (const key of ['port2', 'group2', 'mode2'])
      if (parsed.values.has(key))
        throw new UsageError(`option '--${key === 'mode2' ? 'mod2' : key}' needs a second URL`);
  const daemon = parsed.values.has('daemon');
  if (daemon && second.kind === 'stdio')
    throw new UsageError(
      '--daemon needs another end than standard input and output, which a process in the background does not have',
      'add a second URL, or = COMMAND',
    );
  return {
    first: { kind: 'url', url: absoluteAddress(url, cwd), access: access(parsed, '') },
    second,
    description: textOf(parsed, 'descr') ?? 'vdeplug:',
    reconnect: parsed.values.has('reconnect'),
    syslog: parsed.values.has('syslog') || parsed.values.has('iplog'),
    iplog: parsed.values.has('iplog'),
    ...processOf(parsed, cwd),
  };
}

/** The configuration of vde_plug2tap. Throws UsageError. */
export function plug2tapConfig(parsed: ParsedCommand, cwd: string): PlugConfig {
  const [tap] = parsed.positionals;
  if (tap === undefined || tap === '')
    throw new UsageError('no TAP interface is named', 'expected vde_plug2tap [OPTION]... TAP');
  const sock = textOf(parsed, 'sock') ?? '';
  const stdio = sock === '-';
  if (stdio && parsed.values.has('daemon'))
    throw new UsageError("--daemon and '-s -': a process in the background has no standard input");
  return {
    first: stdio ? { kind: 'stdio' } : { kind: 'url', url: absoluteAddress(sock, cwd), access: access(parsed, '') },
    second: { kind: 'url', url: `tap://${tap}`, access: { port: null, group: null, mode: null } },
    description: 'vde_plug2tap:',
    reconnect: parsed.values.has('reconnect'),
    syslog: false,
    iplog: false,
    ...processOf(parsed, cwd),
  };
}

function access(parsed: ParsedCommand, suffix: '' | '2'): PlugAccess {
  const port = textOf(parsed, `port${suffix}`);
  return {
    port: port === null ? null : wholeNumber(`--port${suffix}`, port, 1, MAX_PORT),
    group: textOf(parsed, `group${suffix}`),
    mode: octalMode(suffix === '' ? '--mode' : '--mode2', textOf(parsed, `mode${suffix}`)),
  };
}

/** An address whose path, if it is one, does not depend on the working directory. */
export function absoluteAddress(address: string, cwd: string): string {
  if (address === '' || address === '-') return address; // the default switch; standard input and output
  const [, scheme = '', rest = ''] = /^((?:vde|ptp|switch|hub|multi|bonding):\/\/)?(.*)$/s.exec(address)!;
  if (scheme === '' && address.includes('://')) return address;
  return rest === '' || rest.startsWith('[') ? address : `${scheme}${resolve(cwd, rest)}`;
}
