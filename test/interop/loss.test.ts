// A guest behind a bad cable: Debian's wirefilter between its switch and the router's. Kernel NAT, plugged into the
// router's switch beside us, is what we are measured against, over the same cable in the same run, by turns. Transfers
// that lose a segment twice wait for a timer now and then, ours and the kernel's: medians are compared.
import { addFarGuest, addKernelNat, CABLE_NEEDS, KERNEL_NAT, mbits, median, transfer } from './lab/behind-cable.ts';
import { GATEWAY } from './lab/lab.ts';
import { Suite } from './lab/suite.ts';

/** Duplicates 1 %, 3 +- 2 ms each way, frames may overtake each other (-N); and a loss of so many percent. */
const BAD_CABLE = ['-D', '1', '-d', '3+2', '-N'];
const LOSSES = [5, 1];
const BYTES = 5_000_000;
const ROUNDS = 5;
/** Least share of kernel NAT's throughput that we must reach. */
const SHARE = 1 / 2;

for (const loss of LOSSES) {
  const suite = new Suite(`a cable that loses ${loss} %`, 'debian', { guests: 0 });

  suite.test('the cable and kernel NAT stand', CABLE_NEEDS, async (t, lab) => {
    await addKernelNat(lab);
    const guest = await addFarGuest(lab, ['-l', String(loss), ...BAD_CABLE]);
    const { stdout } = await guest.run(['ping', '-n', '-q', '-i', '0.01', '-c', '300', KERNEL_NAT]);
    const lost = Number(/([\d.]+)% packet loss/.exec(stdout)?.[1]);
    t.true(lost > 0 && lost < 6 * loss, `the cable loses ${loss} % each way: ${stdout}`);
  });

  for (const way of ['down', 'up'] as const) {
    suite.test(`bytes ${way} arrive intact, at half of kernel NAT's rate at least`, CABLE_NEEDS, async (t, lab) => {
      const ours: number[] = [];
      const kernel: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        kernel.push(await transfer(t, lab, way, BYTES, KERNEL_NAT));
        ours.push(await transfer(t, lab, way, BYTES, GATEWAY));
      }
      const rate = (seconds: number[]): string => mbits(BYTES, median(seconds)).toFixed(1);
      const share = median(kernel) / median(ours);
      t.log(`${rate(ours)} Mbit/s, kernel NAT ${rate(kernel)}: ${share.toFixed(2)} of it`);
      t.true(share >= SHARE, `${share.toFixed(2)} of kernel NAT's throughput`);
    });
  }

  suite.end();
}
