// Run by lease-file.test.ts as a process of its own, and killed in the middle: stores one lease after the other, and says
// which of them are safe.
import { writeSync } from 'node:fs';
import { SystemClock } from '../../src/core/clock.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { LeaseFile } from '../../src/host/lease-file.ts';

const wheel = new TimerWheel(new SystemClock());
const file = new LeaseFile({ path: process.argv[2]!, wheel, warn: (line) => writeSync(1, `warning: ${line}\n`) });
let n = 0;
function next(): void {
  const address = 0x0a000200 + (n % 200);
  const hostname = `guest-${n++}`;
  const expiresAt = wheel.clock.now() + 86_400_000;
  file.put({ address, client: `id:${address}`, macHi: 0x0200, macLo: address, hostname, expiresAt }, () => {
    writeSync(1, `${address} ${hostname}\n`);
    next();
  });
}
for (let i = 0; i < 4; i++) next();
