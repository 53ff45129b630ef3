// The command vde_autolink: words in, links that are kept alive.

import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { readCommandLine, workingDirectory } from './command-line.ts';
import type { ParsedCommand } from './parse.ts';
import { type ProcessOptions, runService } from './run-service.ts';
import { UsageError } from './usage-error.ts';
import { consoleOf, type ManagementSocket, pathOf, processOf } from './values.ts';
import { VDE_AUTOLINK } from './vde_autolink-options.ts';

export interface AutolinkConfig extends ProcessOptions {
  /** Control directory and management socket of the switch, absolute. */
  readonly sock: string;
  readonly switchmgmt: string;
  /** Commands at the start, null for none. */
  readonly rcfile: string | null;
  readonly checkMs: number;
  readonly retryMs: number;
  readonly console: ManagementSocket | null;
}

const DEFAULT_CHECK_S = '30';
const DEFAULT_RETRY_S = '60';
const MAX_SECONDS = 86_400;

export async function main(words: readonly string[]): Promise<void> {
  const config = await readCommandLine(VDE_AUTOLINK, words, autolinkConfig);
  if (config === null) return;
  const { startAutolink } = await import('./vde_autolink-run.ts');
  await runService(
    VDE_AUTOLINK.name,
    config,
    (log) => startAutolink(config, log),
    (_, log) => log.info(`links of the switch at ${config.sock}`),
  );
}

function autolinkConfig(command: ParsedCommand): AutolinkConfig {
  const cwd = workingDirectory();
  const needed = (key: string): string => {
    const path = pathOf(command, key, cwd);
    if (path === null) throw new UsageError(`option '--${key}' is needed`);
    return path;
  };
  const seconds = (key: string, fallback: string): number => {
    const text = String(command.values.get(key) ?? fallback);
    const value = /^\d{1,6}(\.\d{1,3})?$/.test(text) ? Number(text) : 0;
    if (value <= 0 || value > MAX_SECONDS)
      throw new UsageError(`option '--${key}': '${text}' is not a number of seconds up to ${MAX_SECONDS}`);
    return value * 1000;
  };
  return {
    ...processOf(command, cwd),
    sock: needed('sock'),
    switchmgmt: needed('switchmgmt'),
    rcfile: pathOf(command, 'rcfile', cwd) ?? defaultFile(),
    checkMs: seconds('check', DEFAULT_CHECK_S),
    retryMs: seconds('retry', DEFAULT_RETRY_S),
    console: consoleOf(command, cwd),
  };
}

const defaultFile = (): string | null =>
  [join(homedir(), '.vde_autolinkrc'), '/etc/vde2/vde_autolink.rc'].find((path) => existsSync(path)) ?? null;
