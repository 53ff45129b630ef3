// Standard RSTP between our switch and Open vSwitch: two cables, one of which is blocked, and what happens when the other
// is cut. Open vSwitch runs with its user space datapath in a namespace; cables are TAPs plugged in by vde_plug2tap.
import { join } from 'node:path';
import { Drop } from '../../src/core/drop.ts';
import type { Switch } from '../../src/switch/index.ts';
import { Namespace } from './lab/namespace.ts';
import { type Child, until } from './lab/process.ts';
import { interopTest } from './lab/suite.ts';
import { VdeNet } from './lab/vde-net.ts';

const NEEDS = [
  ...['namespaces', 'tap', 'ip', 'vde_plug2tap'],
  ...['ovsdb-tool', 'ovsdb-server', 'ovs-vswitchd', 'ovs-vsctl', 'ovs-appctl'],
];
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

/** Open vSwitch with one bridge, br0, that speaks RSTP. */
class OpenVswitch {
  private readonly space: Namespace;
  private readonly dir: string;
  private readonly env: Readonly<Record<string, string>>;

  private constructor(space: Namespace, dir: string) {
    this.space = space;
    this.dir = dir;
    this.env = { OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, OVS_SYSCONFDIR: dir };
  }

  static async start(space: Namespace, dir: string, priority: string): Promise<OpenVswitch> {
    const ovs = new OpenVswitch(space, dir);
    const { env } = ovs;
    const [data, db] = [join(dir, 'conf.db'), `unix:${join(dir, 'db.sock')}`];
    await space.must(['ovsdb-tool', 'create', data, SCHEMA], { env });
    const own = (name: string) => [`--unixctl=${join(dir, name)}`, '--no-chdir'];
    space.start(['ovsdb-server', data, `--remote=p${db}`, ...own('db.ctl')], { env });
    const ready = async () => (await space.run(['ovs-vsctl', `--db=${db}`, '--no-wait', 'init'], { env })).code === 0;
    await until(ready, 10_000, 'ovsdb-server answers');
    space.start(['ovs-vswitchd', db, ...own('vs.ctl')], { env });
    const bridge = ['datapath_type=netdev', 'rstp_enable=true', `other_config:rstp-priority=${priority}`];
    await ovs.set('add-br', 'br0', '--', 'set', 'bridge', 'br0', ...bridge);
    return ovs;
  }

  async set(...words: string[]): Promise<void> {
    const db = `--db=unix:${join(this.dir, 'db.sock')}`;
    await this.space.must(['ovs-vsctl', '--timeout=10', db, ...words], { env: this.env });
  }

  /** `rstp/show`: `tap0 Root Forwarding` for each port, and whether the bridge is the root. */
  async show(): Promise<{ ports: string[]; isRoot: boolean }> {
    const text = await this.space.must(['ovs-appctl', '-t', join(this.dir, 'vs.ctl'), 'rstp/show', 'br0']);
    const ports = [...text.matchAll(/^ {2}(tap\d) +(\w+) +(\w+)/gm)].map((m) => m.slice(1).join(' ')).sort();
    return { ports, isRoot: text.includes('This bridge is the root') };
  }
}

const roles = (sw: Switch): string[] => sw.rstp.view().ports.map((p) => `${p.port} ${p.role} ${p.state}`);

for (const { who, ours, theirs } of [
  { who: 'Open vSwitch', ours: 0x8000, theirs: '4096' },
  { who: 'our switch', ours: 0x1000, theirs: '32768' },
]) {
  interopTest(
    `RSTP with Open vSwitch, ${who} being the root: one of two cables carries, then the other`,
    NEEDS,
    async (t) => {
      const net = new VdeNet();
      const space = await Namespace.open('ovs', net.dir);
      try {
        const { sw, ctl } = await net.own('ours', { priority: ours });
        sw.setTree('rstp');
        const ovs = await OpenVswitch.start(space, net.dir, theirs);
        const cables: Child[] = [];
        for (const i of [0, 1]) {
          await space.must(['ip', 'tuntap', 'add', 'dev', `tap${i}`, 'mode', 'tap']);
          await space.must(['ip', 'link', 'set', `tap${i}`, 'up']);
          cables.push(space.start(['vde_plug2tap', '-s', ctl, '-p', String(i + 1), `tap${i}`]));
          await until(() => sw.port(i + 1)?.active === true, 5000, `cable ${i}`);
          await ovs.set('add-port', 'br0', `tap${i}`);
        }
        const weAreRoot = who === 'our switch';
        const far = weAreRoot ? async () => (await ovs.show()).ports : async () => roles(sw);
        const near = weAreRoot ? async () => roles(sw) : async () => (await ovs.show()).ports;
        const settled = async (): Promise<boolean> => {
          const text = (await far()).join();
          return text.includes('Root Forwarding') && text.includes('Alternate Discarding');
        };
        await until(settled, 15_000, () => `roles: ${roles(sw).join(', ')}`);
        t.is((await ovs.show()).isRoot, !weAreRoot);
        t.is(sw.rstp.view().isRoot, weAreRoot);
        const forwards = async () => (await near()).every((port) => port.endsWith('Designated Forwarding'));
        await until(forwards, 10_000, 'all ports of the root forward');
        const malformed = sw.ports().map((port) => port.drops[Drop.BpduMalformed]);
        t.deepEqual(
          malformed,
          malformed.map(() => 0),
          'each BPDU of Open vSwitch is understood',
        );

        const carrying = (await far()).findIndex((port) => port.includes('Root'));
        const start = performance.now();
        await cables[carrying]!.stop();
        await ovs.set('del-port', 'br0', `tap${carrying}`);
        await until(
          async () => (await far()).some((port) => port.includes('Root Forwarding')),
          6000,
          'the other carries',
        );
        t.log(`the other cable carries after ${(performance.now() - start).toFixed(0)} ms`);
      } finally {
        await space.close();
        t.deepEqual(await net.close(), []);
      }
    },
  );
}
