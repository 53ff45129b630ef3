// The command vde_switch: words in, a running switch or a clear refusal out.

import { readCommandLine, workingDirectory } from './command-line.ts';
import { VDE_SWITCH } from './vde_switch-options.ts';

/** Runs the command; `words` is the command line without node and script. */
export async function main(words: readonly string[]): Promise<void> {
  const cwd = workingDirectory();
  const config = await readCommandLine(VDE_SWITCH, words, async (command) => {
    const { vdeSwitchConfig } = await import('./vde_switch-config.ts');
    return vdeSwitchConfig(command, cwd);
  });
  if (config === null) return;
  const { runService } = await import('./run-service.ts');
  const { startVdeSwitch } = await import('./vde_switch-run.ts');
  const surroundings = { cwd, interrupt: () => process.kill(process.pid, 'SIGINT') };
  await runService(
    VDE_SWITCH.name,
    config,
    (log) => startVdeSwitch(config, log, surroundings),
    () => {},
  );
}
