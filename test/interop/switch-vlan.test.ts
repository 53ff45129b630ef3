// VLANs between Debian's vde_switch and ours: trunks both ways, untagged and tagged members, and where ours passes tags
// that the original drops.
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';
import { type DebianSwitch, type OwnSwitch, type Station, VdeNet } from './lab/vde-net.ts';

const NEEDS = ['vde_switch'];

interface Office {
  net: VdeNet;
  debian: DebianSwitch;
  own: OwnSwitch;
  /** Stations in VLAN 10 and 20 of each switch, untagged. */
  debian10: Station;
  debian20: Station;
  own10: Station;
  own20: Station;
}

/** Two switches with VLANs 10 and 20 on ports 1 and 2, joined by a trunk of both on port 9. */
async function office(t: ExecutionContext, body: (office: Office) => Promise<void>): Promise<void> {
  const net = new VdeNet();
  try {
    const debian = await net.debian('theirs');
    const own = await net.own('ours');
    await debian.configure('vlan/create 10', 'vlan/create 20', ...[1, 2, 9].map((port) => `port/create ${port}`));
    await debian.configure('port/setvlan 1 10', 'port/setvlan 2 20', 'vlan/addport 10 9', 'vlan/addport 20 9');
    for (const id of [10, 20]) own.sw.vlans.create(id);
    for (const port of [1, 2, 9]) own.sw.admin.create(port);
    own.sw.admin.setVlan(1, 10);
    own.sw.admin.setVlan(2, 20);
    own.sw.vlans.addPort(10, 9);
    own.sw.vlans.addPort(20, 9);
    await net.cable(own, 9, debian, 9);
    const debian10 = await net.station(debian, 1);
    const debian20 = await net.station(debian, 2);
    const own10 = await net.station(own, 1);
    const own20 = await net.station(own, 2);
    await body({ net, debian, own, debian10, debian20, own10, own20 });
  } finally {
    t.deepEqual(await net.close(), []);
  }
}

const QUIET_MS = 150;

interopTest('VLAN: a trunk between Debian and ours keeps VLANs apart, both ways', NEEDS, async (t) => {
  await office(t, async ({ debian10, debian20, own10, own20, own }) => {
    debian10.send(1);
    debian20.send(2);
    own10.send(3);
    own20.send(4, -1, 1514);
    await until(
      () => own10.copies(1) + own20.copies(2) + debian10.copies(3) + debian20.copies(4) === 4,
      3000,
      'all arrive',
    );
    await delay(QUIET_MS);
    t.deepEqual(
      [own10, own20, debian10, debian20].map((s) => [...s.heard.keys()]),
      [[1], [2], [3], [4]],
    );
    t.is(debian20.frames[0]!.length, 1514);
    t.deepEqual([...debian20.frames[0]!.subarray(12, 14)], [0x88, 0xb6], 'without tag');
    t.is(own.sw.hash.find(10, 0x0200, 0x0101)?.port, 9);
    t.is(own.sw.hash.find(20, 0x0200, 0x0102)?.port, 9);
  });
});

interopTest('VLAN: both switches do the same with tags on all kinds of ports', NEEDS, async (t) => {
  await office(t, async ({ net, debian, own, debian10, own10 }) => {
    const hears = async (from: Station, to: Station, n: number, vlan: number): Promise<string> => {
      from.send(n, vlan);
      await delay(QUIET_MS);
      const bytes = to.frames.find((f) => ((f[f[12] === 0x81 ? 18 : 14]! << 8) | f[f[12] === 0x81 ? 19 : 15]!) === n);
      return bytes === undefined ? '-' : bytes[12] === 0x81 ? `tagged ${bytes[15]}` : 'untagged';
    };
    const results: string[][] = [];
    for (const [sw, in10] of [
      [debian, debian10],
      [own, own10],
    ] as const) {
      const trunk = await net.station(sw, 9);
      const plain = await net.station(sw, 12);
      const other = await net.station(sw, 13);
      results.push([
        `own VLAN id, to a trunk: ${await hears(in10, trunk, 100, 10)}`,
        `another VLAN's id: ${await hears(in10, trunk, 101, 20)}`,
        `trunk, tagged, to an access port: ${await hears(trunk, in10, 102, 10)}`,
        `trunk, untagged, to VLAN 0: ${await hears(trunk, plain, 103, -1)}`,
        `a default port, tagged: ${await hears(plain, other, 104, 5)}`,
        `a default port, priority tag: ${await hears(plain, other, 105, 0)}`,
        `a VLAN that does not exist: ${await hears(trunk, in10, 106, 30)}`,
      ]);
    }
    t.deepEqual(results[1], results[0]);
    t.is(results[0]![4], 'a default port, tagged: -');
  });
});

interopTest('VLAN: in transparent mode guests of ours run VLANs of their own', NEEDS, async (t) => {
  const net = new VdeNet();
  try {
    const own = await net.own('ours');
    own.sw.admin.setTransparent(-1, true);
    const [a, b] = [await net.station(own, 1), await net.station(own, 2)];
    a.send(1, 77);
    await until(() => b.copies(1) === 1, 2000, 'the tagged frame has passed');
    t.deepEqual([...b.frames[0]!.subarray(12, 16)], [0x81, 0, 0, 77]);
  } finally {
    t.deepEqual(await net.close(), []);
  }
});
