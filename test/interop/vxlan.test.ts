// VXLAN with the Linux kernel's device and with Debian's plugs: our end joins Debian's switch to it, and a guest of that
// switch talks to a station behind the other end.

import type { ExecutionContext } from 'ava';
import { GATEWAY, type Lab, SERVER, WORLD } from './lab/lab.ts';
import type { Namespace } from './lab/namespace.ts';
import { type Child, until } from './lab/process.ts';
import { Suite } from './lab/suite.ts';

const GUEST = '10.0.2.15';
const STATION = GATEWAY; // the lab's guests look for it
const WORLD6 = 'fd00:5::1';
const SERVER6 = 'fd00:5::2';

const suite = new Suite('vxlan', 'debian', { start: false });

async function ours(lab: Lab, scheme: string, argument: string): Promise<Child> {
  const child = lab.world.start([...lab.script('test/interop/lab/vxlan-cable.ts'), lab.ctl, scheme, argument]);
  await child.until(({ stdout }) => stdout.includes('ready'), 10_000, 'our end is open');
  return child;
}

async function counters(child: Child): Promise<{ rxFrames: number; txFrames: number; drops: Record<string, number> }> {
  await child.stop();
  return JSON.parse(child.stdout.trim().split('\n').pop()!);
}

/** The guest reaches the station in pings of both sizes, and the station the guest. */
async function talk(t: ExecutionContext, lab: Lab, far: Namespace): Promise<void> {
  await lab.guest.must(['ip', 'neighbor', 'flush', 'all']); // the station of the test before had another MAC address
  await lab.guest.configure(GUEST);
  const ping = ['ping', '-n', '-c', '3', '-i', '0.1', '-W', '15']; // s: a stall of the machine is no loss
  t.regex(await lab.guest.must([...ping, STATION]), / 3 received/);
  t.regex(await lab.guest.must([...ping, '-s', '1400', STATION]), / 3 received/);
  await far.must(['ip', 'neighbor', 'flush', 'all']);
  t.regex(await far.must([...ping, GUEST]), / 3 received/);
}

/** Runs the body with the kernel's device in a namespace, as the station. */
async function withKernel(space: Namespace, args: readonly string[], body: () => Promise<void>): Promise<void> {
  await space.must(['ip', 'link', 'add', 'vxlan0', 'type', 'vxlan', ...args]);
  try {
    await space.must(['ip', 'address', 'add', `${STATION}/24`, 'dev', 'vxlan0']);
    await space.must(['ip', 'link', 'set', 'vxlan0', 'up']);
    await body();
  } finally {
    await space.must(['ip', 'link', 'del', 'vxlan0']);
  }
}

suite.test('a peer that is a device of Linux', ['nc'], async (t, lab) => {
  await withKernel(lab.server, ['id', '7', 'remote', WORLD, 'dstport', '4789', 'dev', 'eth0'], async () => {
    const end = await ours(lab, 'vxlan', `${SERVER}/vni=7`);
    await talk(t, lab, lab.server);
    // A stranger's address, another network, and no header.
    await lab.server.must(['ip', 'address', 'add', '198.51.100.66/24', 'dev', 'eth0']);
    const send = (from: string, bytes: string): Promise<string> =>
      lab.server.must(['sh', '-c', `printf '${bytes}' | nc -u -w 1 -p 5555 -s ${from} ${WORLD} 4789`]);
    const frame = '\\377\\377\\377\\377\\377\\377\\002\\0\\0\\0\\0\\011\\010\\0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx';
    await send('198.51.100.66', `\\010\\0\\0\\0\\0\\0\\007\\0${frame}`);
    await send(SERVER, `\\010\\0\\0\\0\\0\\0\\010\\0${frame}`);
    await send(SERVER, 'short');
    const { drops, rxFrames } = await counters(end);
    t.deepEqual(drops, { vxlan_bad_peer: 1, vxlan_other_vni: 1, vxlan_bad_header: 1 });
    t.true(rxFrames >= 9);
  });
});

suite.test('a group with a device of Linux', [], async (t, lab) => {
  await withKernel(lab.server, ['id', '9', 'group', '239.7.7.7', 'dstport', '4789', 'dev', 'eth0'], async () => {
    const end = await ours(lab, 'vxlan', '239.7.7.7/vni=9/if=w0');
    await talk(t, lab, lab.server);
    const { drops } = await counters(end);
    t.deepEqual(drops, {}, 'its own frames do not come back');
  });
});

suite.test('IPv6: a peer, and a group', [], async (t, lab) => {
  await lab.world.must(['ip', 'address', 'add', `${WORLD6}/64`, 'dev', 'w0', 'nodad']);
  await lab.server.must(['ip', 'address', 'add', `${SERVER6}/64`, 'dev', 'eth0', 'nodad']);
  await withKernel(lab.server, ['id', '7', 'remote', WORLD6, 'dstport', '4789', 'dev', 'eth0'], async () => {
    const end = await ours(lab, 'vxlan', `${SERVER6}/vni=7`);
    await talk(t, lab, lab.server);
    await end.stop();
  });
  await withKernel(lab.server, ['id', '8', 'group', 'ff05::77', 'dstport', '4789', 'dev', 'eth0'], async () => {
    const end = await ours(lab, 'vxlan', 'ff05::77/vni=8/if=w0');
    await talk(t, lab, lab.server);
    await end.stop();
  });
});

for (const scheme of ['vxvde', 'vxlan']) {
  suite.test(`Debian's ${scheme}://`, ['vde_plug'], async (t, lab) => {
    // The plug takes no interface: the group's route must say it.
    await lab.server.must(['ip', 'route', 'replace', '239.0.0.0/8', 'dev', 'eth0']);
    const plug = lab.server.start(['vde_plug', `${scheme}://239.0.0.9/vni=5`, 'tap://far0']);
    const up = async (): Promise<boolean> => (await lab.server.run(['ip', 'link', 'set', 'far0', 'up'])).code === 0;
    await until(up, 5000, () => `far0 is there: ${plug.stderr}`);
    await lab.server.must(['ip', 'address', 'add', `${STATION}/24`, 'dev', 'far0']);
    const end = await ours(lab, scheme, '239.0.0.9/vni=5/if=w0');
    if (scheme === 'vxvde') await talk(t, lab, lab.server);
    // vxlan:// of plug4 4.0.1 sends to nobody what is for a station it knows; what it sends to the group arrives.
    else await lab.server.run(['ping', '-c', '4', '-W', '2', '10.0.2.77']);
    const { drops, rxFrames } = await counters(end);
    t.deepEqual(drops, {});
    t.true(rxFrames >= (scheme === 'vxvde' ? 9 : 2));
    await plug.stop();
  });
}

suite.test('errors name the port and the interface', [], async (t, lab) => {
  await withKernel(lab.world, ['id', '7', 'remote', SERVER, 'dstport', '4789', 'dev', 'w0'], async () => {
    const fails = async (argument: string): Promise<string> => {
      const argv = [...lab.script('test/interop/lab/vxlan-cable.ts'), lab.ctl, 'vxlan', argument];
      const { code, stderr } = await lab.world.run(argv);
      t.not(code, 0);
      return stderr;
    };
    t.regex(await fails(SERVER), /cannot take UDP port 4789: EADDRINUSE; another program, or a vxlan device/);
    t.regex(await fails('239.1.1.1/port=4790/if=none0'), /there is no interface none0/);
    t.regex(await fails('239.1.1.1/port=4790'), /cannot join the group 239.1.1.1: ENODEV; name an interface/);
  });
});

suite.end();
