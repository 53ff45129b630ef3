// QEMU's own netdevs, without VDE: stream both ways round, and datagrams.

import { join } from 'node:path';
import { GATEWAY, type Lab, SERVER } from './lab/lab.ts';
import { runLinux } from './lab/linux-guest.ts';
import { patternDigest } from './lab/pattern.ts';
import { Suite } from './lab/suite.ts';

const BYTES = 4_000_000;

const script = (mtu: number) => `
cat > /dhcp.sh <<'EOF'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip route add default via "$router"
EOF
chmod +x /dhcp.sh
udhcpc -i eth0 -n -q -t 10 -T 1 -s /dhcp.sh
ip link set eth0 mtu ${mtu}
ping -c 2 -W 2 ${GATEWAY}
wget -q -O /tmp/pattern http://${SERVER}/bytes/${BYTES}
echo "down: $(sha256sum < /tmp/pattern)"
echo "up: $(nc ${SERVER} 7001 < /tmp/pattern)"
`;

interface Way {
  readonly name: string;
  readonly router: (at: (name: string) => string) => string[];
  readonly netdev: (at: (name: string) => string) => string;
  readonly mtu?: number;
}

const stream = (path: string, more = ''): string => `stream,id=n0,addr.type=unix,addr.path=${path}${more}`;

const ways: Way[] = [
  {
    name: '-netdev stream that connects',
    router: (at) => ['--qemu-stream', at('q')],
    netdev: (at) => stream(at('q'), ',server=off'),
  },
  {
    name: '-netdev stream that connects, with packets of 65,000 bytes',
    router: (at) => ['--qemu-stream', at('q'), '--mtu', '65000'],
    netdev: (at) => stream(at('q'), ',server=off'),
    mtu: 65_000,
  },
  {
    name: '-netdev stream that listens',
    router: (at) => ['--qemu-connect', at('q')],
    netdev: (at) => stream(at('q'), ',server=on'),
  },
  {
    name: '-netdev dgram',
    router: (at) => ['--qemu-dgram', `${at('ours')},${at('theirs')}`],
    netdev: (at) => `dgram,id=n0,local.type=unix,local.path=${at('theirs')},remote.type=unix,remote.path=${at('ours')}`,
  },
];

for (const { name, router, netdev, mtu } of ways) {
  const suite = new Suite(`qemu ${name}`, 'embedded', { guests: 0, start: false });
  const at = (lab: Lab) => (file: string) => join(lab.dir, file);

  suite.test('a Linux guest works', ['qemu-system-x86_64', 'busybox', 'guest-kernel'], async (t, lab) => {
    await lab.startRouter(['-dhcp', ...router(at(lab))]);
    const said = await runLinux(lab, script(mtu ?? 1500), netdev(at(lab)));
    t.regex(said, new RegExp(`${GATEWAY} ping statistics ---\\n2 packets transmitted, 2 packets received`), said);
    t.true(said.includes(`down: ${patternDigest(BYTES)}`), said);
    t.true(said.includes(`up: ${BYTES} ${patternDigest(BYTES)}`), said);
  });

  suite.end();
}
