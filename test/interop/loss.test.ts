// A guest behind a bad cable: Debian's wirefilter between its switch and the router's. Kernel NAT, plugged into the
// router's switch beside us, is what we are measured against, over the same cable in the same run, by turns. Transfers
// that lose a segment twice wait for a timer now and then, ours and the kernel's: medians are compared.
//
//     guest -- switch B -- wirefilter -- switch A -- slirpvde -------- server
//                                            +------ Linux, masquerade --+
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { GATEWAY, Guest, type Lab, SERVER } from './lab/lab.ts';
import { cable } from './lab/namespace.ts';
import { patternDigest, patternFile } from './lab/pattern.ts';
import { until } from './lab/process.ts';
import { Suite } from './lab/suite.ts';

const KERNEL_NAT = '10.0.2.1';
/** Duplicates 1 %, 3 +- 2 ms each way, frames may overtake each other (-N); and a loss of so many percent. */
const BAD_CABLE = ['-D', '1', '-d', '3+2', '-N'];
const LOSSES = [5, 1];
const BYTES = 5_000_000;
const ROUNDS = 5;
const TRANSFER_MS = 120_000;
/** Least share of kernel NAT's throughput that we must reach. */
const SHARE = 1 / 2;

type Way = 'down' | 'up';

/** A namespace that routes and masquerades between the switch and the server: Linux's own NAT. */
async function addKernelNat(lab: Lab): Promise<void> {
  const space = await lab.addSpace('nat');
  await cable(space, ['n0', '198.51.101.1/24'], lab.server, ['eth1', '198.51.101.2/24']);
  await new Guest(lab, space).join();
  await space.must(['ip', 'address', 'add', `${KERNEL_NAT}/24`, 'dev', 'tap0']);
  await space.must(['ip', 'route', 'add', 'default', 'via', '198.51.101.2']);
  await space.sysctl('net.ipv4.ip_forward', '1');
  await space.must(['iptables', '-t', 'nat', '-A', 'POSTROUTING', '-o', 'n0', '-j', 'MASQUERADE']);
}

/** A second switch, with a guest, behind the cable. */
async function addFarGuest(lab: Lab, loss: number): Promise<Guest> {
  const far = join(lab.dir, 'far');
  const behind = lab.world.start(['vde_switch', '-s', far]);
  await until(
    () => lab.listens(far),
    5000,
    () => `the second switch listens: ${behind.stderr}`,
  );
  lab.world.start(['wirefilter', '-v', `${lab.ctl}:${far}`, '-l', String(loss), ...BAD_CABLE]);
  const guest = await lab.addGuest(false);
  await guest.join(far);
  await guest.configure('10.0.2.77');
  return guest;
}

/**
 * Seconds that one transfer of the pattern through `gateway` takes once it is connected (a lost SYN costs anybody a
 * second); every byte must arrive as it was sent.
 */
async function transfer(t: ExecutionContext, lab: Lab, guest: Guest, way: Way, gateway: string): Promise<number> {
  await guest.must(['ip', 'route', 'replace', 'default', 'via', gateway]);
  await guest.must(['ip', 'tcp_metrics', 'flush', 'all']);
  const curl = "curl -sS --fail -w '%{stderr}%{time_total} %{time_connect}'";
  const [line, expected] =
    way === 'down'
      ? [`${curl} http://${SERVER}/bytes/${BYTES} | sha256sum`, `${patternDigest(BYTES)}  -`]
      : [`${curl} -T ${await patternFile(lab.dir, BYTES)} http://${SERVER}/digest`, `${BYTES} ${patternDigest(BYTES)}`];
  const result = await guest.shell(line, { timeoutMs: TRANSFER_MS });
  t.is(result.stdout.trim(), expected, result.stderr);
  const [total, connected] = result.stderr.split(' ').map(Number);
  return total! - connected!;
}

const median = (seconds: number[]): number => seconds.sort((a, b) => a - b)[seconds.length >> 1]!;

for (const loss of LOSSES) {
  const suite = new Suite(`a cable that loses ${loss} %`, 'debian', { guests: 0 });
  const needs = ['vde_switch', 'wirefilter', 'iptables', 'curl'];

  suite.test('the cable and kernel NAT stand', needs, async (t, lab) => {
    await addKernelNat(lab);
    const guest = await addFarGuest(lab, loss);
    const { stdout } = await guest.run(['ping', '-n', '-q', '-i', '0.01', '-c', '300', KERNEL_NAT]);
    const lost = Number(/([\d.]+)% packet loss/.exec(stdout)?.[1]);
    t.true(lost > 0 && lost < 6 * loss, `the cable loses ${loss} % each way: ${stdout}`);
  });

  for (const way of ['down', 'up'] as const) {
    suite.test(`bytes ${way} arrive intact, at half of kernel NAT's rate at least`, needs, async (t, lab) => {
      const ours: number[] = [];
      const kernel: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        kernel.push(await transfer(t, lab, lab.guest, way, KERNEL_NAT));
        ours.push(await transfer(t, lab, lab.guest, way, GATEWAY));
      }
      const mbits = (s: number): string => ((BYTES * 8) / 1e6 / s).toFixed(1);
      const share = median(kernel) / median(ours);
      t.log(`${mbits(median(ours))} Mbit/s, kernel NAT ${mbits(median(kernel))}: ${share.toFixed(2)} of it`);
      t.true(share >= SHARE, `${share.toFixed(2)} of kernel NAT's throughput`);
    });
  }

  suite.end();
}
