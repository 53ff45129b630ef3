// The command vde_plug: words in, a cable between two ends or a clear refusal out.

import { userInfo } from 'node:os';
import { groupId } from '../link/index.ts';
import { readCommandLine, workingDirectory } from './command-line.ts';
import { type PlugConfig, splitCommand, vdePlugConfig } from './plug-config.ts';
import { syslog } from './syslog.ts';
import { VDE_PLUG } from './vde_plug-options.ts';

/** Status of a refusal as a login shell; the original's. */
const EXIT_REFUSED = 255;
const IPLOG_GROUP = 'vdeplug_iplog';
const REFUSAL =
  'This is a tunnel of a virtual Ethernet (VDE), not a login shell: only the command vde_plug may be run here.\n';

/** @param words  command line without node and script */
export async function main(words: readonly string[]): Promise<void> {
  if (process.argv0.startsWith('-')) return refuse('');
  const { own, command } = splitCommand(words);
  const config = await readCommandLine(VDE_PLUG, own, (parsed) => {
    const shell = parsed.values.get('command');
    if (typeof shell === 'string' && shell !== VDE_PLUG.name) return shell;
    const found = vdePlugConfig(parsed, command, workingDirectory());
    return shell === undefined ? found : { ...found, syslog: true, iplog: found.iplog || isMember(IPLOG_GROUP) };
  });
  if (typeof config === 'string') refuse(config);
  else if (config !== null) await run(config);
}

async function run(config: PlugConfig): Promise<void> {
  const { runService } = await import('./run-service.ts');
  const { startCable } = await import('./plug-service.ts');
  const observe = config.iplog ? await addressLog() : null;
  const who = `user ${userName()} IP ${remoteAddress()}`;
  await runService(
    VDE_PLUG.name,
    config,
    async (log) => {
      const cable = await startCable({ ...config, observe }, log);
      if (!config.syslog) return cable;
      syslog(VDE_PLUG.name, 'info', `START: ${who}`);
      return {
        ended: cable.ended,
        close: async () => {
          syslog(VDE_PLUG.name, 'info', `STOP: ${who}`);
          await cable.close();
        },
      };
    },
    () => {},
  );
}

/** Logs each new address of what comes in. */
async function addressLog(): Promise<(b: Uint8Array, off: number, len: number) => void> {
  const { AddressWatch } = await import('./address-watch.ts');
  const who = `user ${userName()} Real-IP ${remoteAddress()}`;
  const watch = new AddressWatch((address, version, vlan) =>
    syslog(VDE_PLUG.name, 'info', `${who} has got VDE-IP${version} ${address} on vlan ${vlan}`),
  );
  return (b, off, len) => watch.frame(b, off, len);
}

function refuse(command: string): void {
  process.stderr.write(REFUSAL);
  const what = command === '' ? 'a login' : `the command ${command}`;
  syslog(VDE_PLUG.name, 'notice', `refused ${what}: user ${userName()} IP ${remoteAddress()}`);
  process.exitCode = EXIT_REFUSED;
}

/** Address of the ssh client. */
const remoteAddress = (): string => process.env['SSH_CLIENT']?.split(' ')[0] || 'UNKNOWN_IP_ADDRESS';

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

function isMember(group: string): boolean {
  try {
    const id = groupId(group);
    return process.getegid!() === id || process.getgroups!().includes(id);
  } catch {
    return false; // there is no such group
  }
}
