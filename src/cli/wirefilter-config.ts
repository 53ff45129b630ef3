// What wirefilter's command line asks for.

import { resolve } from 'node:path';
import type { Parameter, WireValue } from '../link/impair-model.ts';
import { parseSetting } from '../link/impair-text.ts';
import type { ParsedCommand } from './parse.ts';
import { absoluteAddress } from './plug-config.ts';
import type { ProcessOptions } from './run-service.ts';
import { UsageError } from './usage-error.ts';
import { numberOf, octalMode, pathOf, processOf, textOf } from './values.ts';

const MGMT_MODE = 0o700;
const SETTINGS: readonly Parameter[] = [
  ...(['loss', 'lostburst', 'delay', 'dup', 'bandwidth', 'speed', 'noise', 'mtu', 'chanbufsize'] as const),
];

export interface WirefilterConfig extends ProcessOptions {
  /** Ends on both sides, or null between plugs of dpipe. */
  readonly ends: readonly [left: string, right: string] | null;
  readonly settings: readonly { readonly parameter: Parameter; readonly direction: 0 | 1; readonly value: WireValue }[];
  readonly fifo: boolean;
  readonly seed: number | null;
  readonly rcfile: string | null;
  readonly mgmt: { readonly path: string; readonly mode: number } | null;
  readonly console: boolean;
  readonly blink: { readonly path: string; readonly id: string } | null;
}

/** @throws UsageError */
export function wirefilterConfig(command: ParsedCommand, cwd: string): WirefilterConfig {
  const process_ = processOf(command, cwd);
  const ends = endsOf(command, cwd);
  if (ends === null && process_.daemon)
    throw new UsageError("option '--daemon' needs switches on both sides: -v LEFT:RIGHT");
  if (ends?.includes('-') && process_.daemon) throw new UsageError("'-' is standard input, which a daemon has not");
  if (ends?.[0] === '-' && ends[1] === '-') throw new UsageError("only one side can be '-'");
  const mgmt = textOf(command, 'mgmt');
  const mode = octalMode('--mgmtmode', textOf(command, 'mgmtmode'));
  if (mgmt === null && mode !== null)
    throw new UsageError("option '--mgmtmode' needs the management socket: --mgmt SOCK");
  const blink = textOf(command, 'blink');
  return {
    ...process_,
    ends,
    settings: SETTINGS.flatMap((parameter) => settingsOf(command, parameter)),
    fifo: !command.values.has('nofifo'),
    seed: numberOf(command, 'seed', 0, Number.MAX_SAFE_INTEGER),
    rcfile: pathOf(command, 'rcfile', cwd),
    mgmt: mgmt === null ? null : { path: resolve(cwd, mgmt), mode: mode ?? MGMT_MODE },
    console: ends !== null && !ends.includes('-') && !process_.daemon && !command.values.has('nostdin'),
    blink: blink === null ? null : { path: resolve(cwd, blink), id: textOf(command, 'blinkid') ?? String(process.pid) },
  };
}

function endsOf(command: ParsedCommand, cwd: string): WirefilterConfig['ends'] {
  const plug = textOf(command, 'plug');
  const { positionals } = command;
  if (plug === null) {
    if (positionals.length === 0) return null;
    const [left, right] = positionals;
    if (right === undefined) throw new UsageError(`one switch is not enough: '${left}'`);
    return [absoluteAddress(left!, cwd), absoluteAddress(right, cwd)];
  }
  if (positionals.length > 0) throw new UsageError(`'${positionals[0]}': the switches are named by -v already`);
  const at = plug.search(/:(?!\/\/)/);
  if (at < 0) throw new UsageError(`option '-v': '${plug}' does not name two switches`, 'LEFT:RIGHT');
  return [absoluteAddress(plug.slice(0, at), cwd), absoluteAddress(plug.slice(at + 1), cwd)];
}

function settingsOf(command: ParsedCommand, parameter: Parameter): WirefilterConfig['settings'] {
  const texts = command.values.get(parameter);
  if (!Array.isArray(texts)) return [];
  return texts.flatMap((text: string) => {
    const setting = parseSetting(text);
    if (setting === null || setting.node !== 0)
      throw new UsageError(
        `option '--${parameter}': '${text}' is not a value`,
        '[LR|RL]NUMBER[+SPREAD][K|M|G][U|N]; values of Markov states belong into a file: --rcfile FILE',
      );
    return setting.directions.map((direction) => ({ parameter, direction, value: setting.value }));
  });
}
