// A guest that is 50 ms away: Debian's wirefilter between its switch and the router's delays every frame by 25 ms each
// way. One TCP stream fills the path only when the windows and buffers of all on it have grown to rate times round trip,
// ours included. Kernel NAT, over the same cable in the same run and by turns, is what the host can do.
//
// With a limit of the path, wirefilter's queue holds one round trip's worth behind what is under way (`-c` counts both).
// Without one the programs of the path are the limit, and what the guest's and the server's kernels may keep in flight is
// raised so far that it is not.
import { addFarGuest, addKernelNat, CABLE_NEEDS, KERNEL_NAT, mbits, median, transfer } from './lab/behind-cable.ts';
import { GATEWAY } from './lab/lab.ts';
import type { Namespace } from './lab/namespace.ts';
import { Suite } from './lab/suite.ts';

const DELAY_MS = 25;
const ROUNDS = 3;
/** Least share of the path's rate, or where kernel NAT does not reach that, of kernel NAT's. */
const SHARE = 0.8;
/** Slow start, and the path's rate counts headers: what a transfer reaches of it at best. */
const PAYLOAD = 1460 / 1516;

/** Bytes per second of the cable, headers included, Infinity for no limit; and bytes of a transfer. */
const PATHS = [
  { name: '100 Mbit/s', rate: 12_500_000, bytes: 30_000_000 },
  { name: 'no limit', rate: Number.POSITIVE_INFINITY, bytes: 60_000_000 },
];

/** What TCP of a namespace may keep in flight: default and most. */
async function widen(space: Namespace): Promise<void> {
  await space.sysctl('net.ipv4.tcp_rmem', '4096 131072 33554432');
  await space.sysctl('net.ipv4.tcp_wmem', '4096 65536 33554432');
}

for (const { name, rate, bytes } of PATHS) {
  const suite = new Suite(`a path of ${2 * DELAY_MS} ms, ${name}`, 'debian', { guests: 0 });

  suite.test('the cable and kernel NAT stand', CABLE_NEEDS, async (t, lab) => {
    const roundTrip = (2 * DELAY_MS * rate) / 1000;
    const limit = rate === Number.POSITIVE_INFINITY ? [] : ['-b', String(rate), '-c', String(2 * roundTrip)];
    await widen(lab.server);
    await addKernelNat(lab);
    const guest = await addFarGuest(lab, ['-d', String(DELAY_MS), ...limit]);
    await widen(guest.space);
    const { stdout } = await guest.run(['ping', '-n', '-q', '-i', '0.05', '-c', '20', KERNEL_NAT]);
    const [, least] = /= ([\d.]+)\//.exec(stdout) ?? [];
    t.true(Math.abs(Number(least) - 2 * DELAY_MS) < 5, stdout);
  });

  for (const way of ['down', 'up'] as const) {
    suite.test(`one stream ${way} fills it`, CABLE_NEEDS, async (t, lab) => {
      const ours: number[] = [];
      const kernel: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        kernel.push(mbits(bytes, await transfer(t, lab, way, bytes, KERNEL_NAT)));
        ours.push(mbits(bytes, await transfer(t, lab, way, bytes, GATEWAY)));
      }
      const path = (rate * 8 * PAYLOAD) / 1e6;
      const most = Math.min(path, median(kernel));
      const show = (rates: readonly number[]): string => rates.map((r) => r.toFixed(1)).join(' ');
      t.log(`path ${path.toFixed(1)}, kernel NAT ${show(kernel)}, ours ${show(ours)} Mbit/s`);
      t.true(median(ours) >= SHARE * most, `${(median(ours) / most).toFixed(2)} of what can be had`);
    });
  }

  suite.end();
}
