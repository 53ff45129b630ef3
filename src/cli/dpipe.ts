// The command dpipe: words in, commands joined by pipes or a clear refusal out.

import { VdeError } from '../core/errors.ts';
import { native, nativeProblem } from '../native/native.ts';
import { readCommandLine, workingDirectory } from './command-line.ts';
import type { Chain } from './dpipe-chain.ts';
import { DPIPE } from './dpipe-options.ts';
import type { ParsedCommand } from './parse.ts';
import type { PidFile } from './pidfile.ts';
import { DEFAULT_LIMITS } from './run-service.ts';
import { printable } from './stdio.ts';
import { EXIT_FAILURE, UsageError } from './usage-error.ts';
import { absolutePath } from './values.ts';

interface DpipeConfig {
  readonly chain: Chain;
  readonly daemon: boolean;
  readonly pidfile: string | null;
  readonly pgrpfile: string | null;
  /** --pidfile names the last command. */
  readonly pidOfLast: boolean;
  /** The files are left. */
  readonly leave: boolean;
}

/** @param words  command line without node and script */
export async function main(words: readonly string[]): Promise<void> {
  const config = await readCommandLine(DPIPE, words, configure);
  if (config === null) return;
  if (!config.daemon) return run(config, null);
  const { ReadyChannel, runInBackground } = await import('./daemon.ts');
  const channel = ReadyChannel.inherit();
  if (channel === null) process.exitCode = await runInBackground(DPIPE.name, DEFAULT_LIMITS.readyMs);
  else await run(config, channel);
}

async function configure(parsed: ParsedCommand): Promise<DpipeConfig> {
  const { parseChain } = await import('./dpipe-chain.ts');
  const cwd = workingDirectory();
  const file = (key: string): string | null => {
    const value = parsed.values.get(key);
    return typeof value === 'string' ? absolutePath(`--${key}`, value, cwd) : null;
  };
  const leave = parsed.values.has('nowrapnoclean');
  const pgrpfile = file('pgrpfile');
  const problem = pgrpfile === null ? null : nativeProblem();
  if (problem !== null) throw new UsageError(`--pgrpfile: a process group cannot be made: ${problem}`);
  return {
    chain: parseChain(parsed.positionals),
    daemon: parsed.values.has('daemon'),
    pidfile: file('pidfile'),
    pgrpfile,
    pidOfLast: leave || parsed.values.has('nowrapproc'),
    leave,
  };
}

async function run(config: DpipeConfig, channel: { ready(): boolean } | null): Promise<void> {
  const { Commands } = await import('./dpipe-run.ts');
  const { createPidFile } = await import('./pidfile.ts');
  const say = (text: string): void => {
    process.stderr.write(`${DPIPE.name}: ${printable(text)}\n`);
  };
  const files: PidFile[] = [];
  const removeFiles = (): void => {
    if (!config.leave) for (const file of files) file.remove();
  };
  let commands: InstanceType<typeof Commands> | null = null;
  const held: NodeJS.Signals[] = [];
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => (commands === null ? held.push(signal) : commands.stop(signal)));
  try {
    if (config.pgrpfile !== null) {
      native().ownGroup(); // fails only when this is the leader of a session, and so of a group
      files.push(createPidFile(config.pgrpfile, DPIPE.name, -process.pid));
    }
    if (config.pidfile !== null && !config.pidOfLast) files.push(createPidFile(config.pidfile, DPIPE.name));
    commands = new Commands(config.chain, config.daemon ? 'ignore' : 'inherit', say);
    if (config.pidfile !== null && config.pidOfLast && commands.lastPid > 0)
      files.push(createPidFile(config.pidfile, config.chain.commands.at(-1)!.argv[0]!, commands.lastPid));
  } catch (error) {
    if (!(error instanceof VdeError)) throw error;
    say(error.message);
    commands?.stop('SIGTERM');
    await commands?.ended;
    removeFiles();
    process.exitCode = EXIT_FAILURE;
    return;
  }
  for (const signal of held) commands.stop(signal);
  if (commands.started) channel?.ready();
  process.exitCode = await commands.ended;
  removeFiles();
}
