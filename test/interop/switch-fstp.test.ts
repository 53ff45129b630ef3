// The classic switch's spanning tree between Debian's vde_switch and ours: a ring of three converges without a storm, and
// again after a cut, as fast as three of Debian's do.
import type { ExecutionContext } from 'ava';
import { FstpRing } from './lab/fstp-ring.ts';
import { until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';
import { type NetSwitch, VdeNet } from './lab/vde-net.ts';

const NEEDS = ['vde_switch'];
const MIN_ROUNDS = 3;
const MAX_ROUNDS = 12;
/**
 * How much later than in the best round of three Debian switches the best round of a ring with ours may be, ms. Both take
 * a handful of messages, some milliseconds, and are looked at in steps of 2 ms; our switch also shares the test's
 * process with stations and cables. What it must not hide is a wait for a timer, of which the shortest is 4000 ms.
 */
const MARGIN_MS = 25;
/** Copies of one broadcast at a station while the ring is closed; a storm makes tens of thousands a second. */
const MAX_COPIES = 2000;

async function inNet(t: ExecutionContext, body: (net: VdeNet) => Promise<void>): Promise<void> {
  const net = new VdeNet();
  try {
    await body(net);
  } finally {
    t.deepEqual(await net.close(), []);
  }
}

const mac = (i: number) => Uint8Array.of(0, 0xff, 0, 0, 0, i + 1);

/** Three switches, the one at `ours` our own (-1: none), all with FSTP. The first has the lowest name. */
async function ring(net: VdeNet, ours: number): Promise<FstpRing> {
  const made: NetSwitch[] = [];
  for (let i = 0; i < 3; i++) {
    const name = `r${ours + 1}s${i}`;
    if (i === ours) {
      const own = await net.own(name, { mac: mac(i) });
      own.sw.setTree('fstp');
      made.push(own);
    } else made.push(await net.debian(name, ['-F', '--macaddr', `00:ff:00:00:00:0${i + 1}`]));
  }
  return new FstpRing(net, made);
}

const PLACES = ["three of Debian's", 'ours the root', 'ours second', 'ours third'];
const CHANGES = [0, 1, 2].flatMap((i) => [`cut ${i}`, `join ${i}`]);

interopTest(
  'FSTP: a ring of three converges without a storm, and again after each cut, as fast as theirs',
  NEEDS,
  (t) =>
    inNet(t, async (net) => {
      const rings: FstpRing[] = [];
      for (let ours = -1; ours < 3; ours++) rings.push(await ring(net, ours));
      for (const [k, each] of rings.entries())
        t.log(`${PLACES[k]}: first tree after ${(await each.start()).toFixed(0)} ms`);
      const best = rings.map(() => new Map(CHANGES.map((change) => [change, Number.POSITIVE_INFINITY])));
      const late = (k: number) => CHANGES.filter((change) => best[k]!.get(change)! > best[0]!.get(change)! + MARGIN_MS);
      // More rounds are for stalls of the machine only: a ring that waits for a timer is late in all of them.
      for (
        let round = 0;
        round < MIN_ROUNDS || (round < MAX_ROUNDS && rings.some((_, k) => late(k).length > 0));
        round++
      ) {
        for (const change of CHANGES) {
          const [what, cable] = change.split(' ') as ['cut' | 'join', string];
          for (const [k, each] of rings.entries()) {
            const ms = await each.healed(() => each[what](Number(cable)));
            best[k]!.set(change, Math.min(ms, best[k]!.get(change)!));
          }
        }
      }
      for (const [k, each] of rings.entries()) {
        const times = CHANGES.map((change) => `${change} ${best[k]!.get(change)!.toFixed(0)}`).join(', ');
        t.log(`${PLACES[k]}: ms at best: ${times}; at most ${each.mostCopies} copies of a broadcast`);
        t.deepEqual(late(k), []);
        t.true(each.mostCopies < MAX_COPIES);
        t.true(await each.steady(10), PLACES[k]);
      }
    }),
);

interopTest('FSTP: two cables between Debian and ours: one carries, and the other takes over', NEEDS, async (t) => {
  await inNet(t, async (net) => {
    const debian = await net.debian('theirs', ['-F', '--macaddr', '00:ff:00:00:00:0b', '--priority', '0x7000']);
    const own = await net.own('ours', { mac: Uint8Array.of(0, 0xff, 0, 0, 0, 0x0a) });
    own.sw.setTree('fstp');
    const first = await net.cable(own, 1, debian, 1);
    await net.cable(own, 2, debian, 2);
    await until(() => own.sw.fstp.view(0)!.ports[1]?.role === 'Alternate/Backup', 3000, 'the second cable is blocked');
    const text = (await debian.console('fstp/print'))[0]!;
    t.regex(text, /ROOTSWITCH/);
    t.regex(text, /Port 0001 tagged=0 portcost=20000000 role=Designated/);
    t.regex(text, /Port 0002 tagged=0 portcost=20000000 role=Alternate\/Backup/);
    t.like(own.sw.fstp.view(0), { isRoot: false, rootPort: 1, rootCost: 20_000_000 });
    const start = performance.now();
    await first.cut();
    await until(() => own.sw.fstp.view(0)!.rootPort === 2, 2000, 'the second cable carries');
    t.true(performance.now() - start < 1000);
    const after = async () =>
      (await debian.console('fstp/print'))[0]!.includes('Port 0002 tagged=0 portcost=20000000 role=Designated');
    await until(after, 2000, "Debian's end forwards");
  });
});

interopTest('FSTP: each VLAN of a trunk has its own tree', NEEDS, async (t) => {
  await inNet(t, async (net) => {
    const debian = await net.debian('theirs', ['-F', '--macaddr', '00:ff:00:00:00:0b', '--priority', '0x7000']);
    const own = await net.own('ours', { mac: Uint8Array.of(0, 0xff, 0, 0, 0, 0x0a) });
    own.sw.setTree('fstp');
    await net.cable(own, 5, debian, 5);
    own.sw.vlans.create(10);
    own.sw.vlans.addPort(10, 5);
    await debian.configure('vlan/create 10', 'vlan/addport 10 5');
    await until(() => own.sw.fstp.view(10)!.rootPort === 5, 6000, 'VLAN 10 has found the root');
    t.like(own.sw.fstp.view(10), { isRoot: false, rootCost: 20_000_000 });
    t.is(own.sw.fstp.view(0)!.rootPort, 5);
    t.is(
      own.sw.port(5)!.drops.reduce((sum, n) => sum + n, 0),
      0,
    );
  });
});
