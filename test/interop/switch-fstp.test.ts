// The classic switch's spanning tree between Debian's vde_switch and ours: a ring of three converges without a storm, and
// again after a cut, as fast as three of Debian's do.
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';
import { type NetSwitch, type Station, VdeNet } from './lab/vde-net.ts';

const NEEDS = ['vde_switch', 'dpipe', 'vde_plug'];
const EVERY_MS = 20;
/** What a ring of three Debian switches takes at most, with room for a busy machine; it is measured beside ours. */
const CONVERGE_MS = 1500;

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
async function three(net: VdeNet, ours: number): Promise<NetSwitch[]> {
  const made: NetSwitch[] = [];
  for (let i = 0; i < 3; i++) {
    if (i === ours) {
      const own = await net.own(`s${i}`, { mac: mac(i) });
      own.sw.setTree('fstp');
      made.push(own);
    } else made.push(await net.debian(`s${i}`, ['-F', '--macaddr', `00:ff:00:00:00:0${i + 1}`]));
  }
  return made;
}

/** Sends numbered broadcasts until one arrives at all others exactly once, ms; what is sent meanwhile is counted. */
async function converged(from: Station, to: readonly Station[], first: number): Promise<{ ms: number; next: number }> {
  const start = performance.now();
  let n = first;
  const oneCopy = (k: number) => to.every((station) => station.copies(k) === 1);
  while (performance.now() - start < 20_000) {
    from.send(n++);
    await delay(EVERY_MS);
    for (let k = first; k < n; k++) if (oneCopy(k)) return { ms: performance.now() - start, next: n };
  }
  throw new Error('no frame arrived everywhere exactly once within 20 s');
}

/** From now on every frame arrives exactly once at each. */
async function steady(t: ExecutionContext, from: Station, to: readonly Station[], first: number): Promise<number> {
  const count = 25;
  for (let i = 0; i < count; i++) {
    from.send(first + i);
    await delay(EVERY_MS);
  }
  await delay(100);
  for (const station of to) {
    const copies = Array.from({ length: count }, (_, i) => station.copies(first + i)).join('');
    t.is(copies, '1'.repeat(count));
  }
  return first + count;
}

async function ring(t: ExecutionContext, net: VdeNet, ours: number): Promise<number[]> {
  const switches = (await three(net, ours)) as [NetSwitch, NetSwitch, NetSwitch];
  const [s0, s1, s2] = switches;
  const stations = await Promise.all(switches.map((sw) => net.station(sw, 1)));
  const [a, b, c] = stations as [Station, Station, Station];
  const cut = await net.cable(s0, 10, s1, 10);
  await net.cable(s1, 11, s2, 11);
  await net.cable(s2, 12, s0, 12);
  const times: number[] = [];
  let { ms, next } = await converged(a, [b, c], 1);
  times.push(ms);
  next = await steady(t, a, [b, c], next);
  await steady(t, b, [a, c], 10_000);
  await cut.cut();
  ({ ms, next } = await converged(a, [b, c], next));
  times.push(ms);
  next = await steady(t, a, [b, c], next);
  await steady(t, c, [a, b], 20_000);
  return times;
}

interopTest('FSTP: a ring of three converges without a storm, and again after a cut', NEEDS, async (t) => {
  let theirs: number[] = [];
  await inNet(t, async (net) => {
    theirs = await ring(t, net, -1);
  });
  t.log(`three of Debian's: ${theirs.map((ms) => ms.toFixed(0)).join(' and ')} ms`);
  for (const ours of [0, 1, 2]) {
    await inNet(t, async (net) => {
      const times = await ring(t, net, ours);
      const what = ['the root', 'the switch with the blocked cable', 'the switch between'][ours]!;
      t.log(`ours as ${what}: ${times.map((ms) => ms.toFixed(0)).join(' and ')} ms`);
      for (const [i, ms] of times.entries())
        t.true(ms < Math.max(CONVERGE_MS, theirs[i]! + 500), `${ms.toFixed(0)} ms`);
    });
  }
});

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
