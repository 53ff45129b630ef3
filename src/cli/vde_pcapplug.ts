// The command vde_pcapplug: words in, a cable or a clear refusal out.

import { readCommandLine, workingDirectory } from './command-line.ts';
import type { ParsedCommand } from './parse.ts';
import { absoluteAddress } from './plug-config.ts';
import type { ProcessOptions } from './run-service.ts';
import { UsageError } from './usage-error.ts';
import { numberOf, octalMode, processOf, textOf } from './values.ts';
import { VDE_PCAPPLUG } from './vde_pcapplug-options.ts';

const MAX_PORT = 0x7f_ffff;

export interface PcapplugConfig extends ProcessOptions {
  readonly interface: string;
  readonly sock: string;
  readonly port: number | null;
  readonly group: string | null;
  readonly mode: number | null;
  readonly promiscuous: boolean;
}

/** @throws UsageError */
export function pcapplugConfig(command: ParsedCommand, cwd: string): PcapplugConfig {
  const [name] = command.positionals;
  if (name === undefined) throw new UsageError('no interface is named', 'vde_pcapplug -s SWITCH INTERFACE');
  const sock = textOf(command, 'sock') ?? '';
  const process_ = processOf(command, cwd);
  if (sock === '-' && process_.daemon) throw new UsageError("'-' is standard input, which a daemon has not");
  return {
    ...process_,
    interface: name,
    sock: absoluteAddress(sock, cwd),
    port: numberOf(command, 'port', 1, MAX_PORT),
    group: textOf(command, 'group'),
    mode: octalMode('--mode', textOf(command, 'mode')),
    promiscuous: !command.values.has('noPromisc'),
  };
}

/** Runs the command; `words` are the command line without node and script. */
export async function main(words: readonly string[]): Promise<void> {
  const config = await readCommandLine(VDE_PCAPPLUG, words, (command) => pcapplugConfig(command, workingDirectory()));
  if (config === null) return;
  const { runService } = await import('./run-service.ts');
  const { startPcapplug } = await import('./vde_pcapplug-run.ts');
  await runService(
    VDE_PCAPPLUG.name,
    config,
    (log) => startPcapplug(config, log),
    () => {},
  );
}
