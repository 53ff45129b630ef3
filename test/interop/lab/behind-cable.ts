// A guest behind a cable of wirefilter's, and Linux's own NAT beside the router, over the same cable:
//
//     guest -- switch B -- wirefilter -- switch A -- slirpvde -------- server
//                                            +------ Linux, masquerade --+
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { Guest, type Lab, SERVER } from './lab.ts';
import { cable } from './namespace.ts';
import { patternDigest, patternFile } from './pattern.ts';
import { until } from './process.ts';

export const KERNEL_NAT = '10.0.2.1';
/** Programs that these need beyond those of the lab. */
export const CABLE_NEEDS: readonly string[] = ['vde_switch', 'wirefilter', 'iptables', 'curl'];
const TRANSFER_MS = 120_000;

export type Way = 'down' | 'up';

/** A namespace that routes and masquerades between the switch and the server: Linux's own NAT. */
export async function addKernelNat(lab: Lab): Promise<void> {
  const space = await lab.addSpace('nat');
  await cable(space, ['n0', '198.51.101.1/24'], lab.server, ['eth1', '198.51.101.2/24']);
  await new Guest(lab, space).join();
  await space.must(['ip', 'address', 'add', `${KERNEL_NAT}/24`, 'dev', 'tap0']);
  await space.must(['ip', 'route', 'add', 'default', 'via', '198.51.101.2']);
  await space.sysctl('net.ipv4.ip_forward', '1');
  await space.must(['iptables', '-t', 'nat', '-A', 'POSTROUTING', '-o', 'n0', '-j', 'MASQUERADE']);
}

/** A second switch, with a guest, behind a wirefilter with these options. */
export async function addFarGuest(lab: Lab, options: readonly string[]): Promise<Guest> {
  const far = join(lab.dir, 'far');
  const behind = lab.world.start(['vde_switch', '-s', far]);
  await until(
    () => lab.listens(far),
    5000,
    () => `the second switch listens: ${behind.stderr}`,
  );
  lab.world.start(['wirefilter', '-v', `${lab.ctl}:${far}`, ...options]);
  const guest = await lab.addGuest(false);
  await guest.join(far);
  await guest.configure('10.0.2.77');
  return guest;
}

/**
 * Seconds that one transfer of the pattern through `gateway` takes once it is connected (a lost SYN costs anybody a
 * second); every byte must arrive as it was sent.
 */
export async function transfer(
  t: ExecutionContext,
  lab: Lab,
  way: Way,
  bytes: number,
  gateway: string,
): Promise<number> {
  const { guest } = lab;
  await guest.must(['ip', 'route', 'replace', 'default', 'via', gateway]);
  await guest.must(['ip', 'tcp_metrics', 'flush', 'all']);
  const curl = "curl -sS --fail -w '%{stderr}%{time_total} %{time_connect}'";
  const [line, expected] =
    way === 'down'
      ? [`${curl} http://${SERVER}/bytes/${bytes} | sha256sum`, `${patternDigest(bytes)}  -`]
      : [`${curl} -T ${await patternFile(lab.dir, bytes)} http://${SERVER}/digest`, `${bytes} ${patternDigest(bytes)}`];
  const result = await guest.shell(line, { timeoutMs: TRANSFER_MS });
  t.is(result.stdout.trim(), expected, result.stderr);
  const [total, connected] = result.stderr.split(' ').map(Number);
  return total! - connected!;
}

export const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

export const mbits = (bytes: number, seconds: number): number => (bytes * 8) / 1e6 / seconds;
