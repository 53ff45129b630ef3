// The command vde_l3: words in, a router between switches.

import { formatIpv4 } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import type { Route } from '../l3/index.ts';
import { type AddressMask, parseHost, parseInterface, parseRoute } from '../mgmt/l3-text.ts';
import { readCommandLine, workingDirectory } from './command-line.ts';
import type { ParsedCommand } from './parse.ts';
import { type ProcessOptions, runService } from './run-service.ts';
import { UsageError } from './usage-error.ts';
import { consoleOf, type ManagementSocket, processOf } from './values.ts';
import { VDE_L3 } from './vde_l3-options.ts';

export interface L3Config extends ProcessOptions {
  readonly interfaces: readonly (AddressMask & { readonly socket: string })[];
  readonly routes: readonly Route[];
  readonly console: ManagementSocket | null;
}

const MAX_INTERFACES = 64;

export async function main(words: readonly string[]): Promise<void> {
  const config = await readCommandLine(VDE_L3, words, l3Config);
  if (config === null) return;
  const { startL3 } = await import('./vde_l3-run.ts');
  await runService(
    VDE_L3.name,
    config,
    (log) => startL3(config, log),
    (_, log) => {
      for (const [i, { socket, address }] of config.interfaces.entries())
        log.info(`vd${i} ${formatIpv4(address)} on ${socket === '' ? 'the default switch' : socket}`);
    },
  );
}

function l3Config(command: ParsedCommand): L3Config {
  const cwd = workingDirectory();
  const all = <T>(key: string, option: string, parse: (text: string) => T): T[] => {
    const value = command.values.get(key) ?? [];
    return (Array.isArray(value) ? value : [value]).map((text) => {
      try {
        return parse(String(text));
      } catch (error) {
        if (error instanceof VdeError) throw new UsageError(`option '${option}': ${error.message}`);
        throw error;
      }
    });
  };
  const interfaces = all('interface', '-v', parseInterface);
  if (interfaces.length === 0) throw new UsageError('which networks? at least one -v SWITCH:ADDRESS/MASK is needed');
  if (interfaces.length > MAX_INTERFACES) throw new UsageError(`no more than ${MAX_INTERFACES} interfaces`);
  const twice = interfaces.find(({ address }, i) => interfaces.findIndex((each) => each.address === address) !== i);
  if (twice !== undefined) throw new UsageError(`two interfaces have the address ${formatIpv4(twice.address)}`);
  const defaults = all('gateway', '-G', parseHost).map((gateway): Route => ({ network: 0, mask: 0, gateway }));
  const routes = [...all('route', '-r', parseRoute), ...defaults];
  for (const { gateway } of routes) {
    if (!interfaces.some(({ address, mask }) => ((gateway ^ address) & mask) === 0))
      throw new UsageError(`no interface is on the network of the gateway ${formatIpv4(gateway)}`);
  }
  return { ...processOf(command, cwd), interfaces, routes, console: consoleOf(command, cwd) };
}
