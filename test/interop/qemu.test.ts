import { DNS, GATEWAY, SERVER } from './lab/lab.ts';
import { runLinux } from './lab/linux-guest.ts';
import { patternDigest } from './lab/pattern.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const BYTES = 4_000_000;

const script = `
cat > /dhcp.sh <<'EOF'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip route add default via "$router"
echo "nameserver $dns" > /etc/resolv.conf
EOF
chmod +x /dhcp.sh
udhcpc -i eth0 -n -q -t 10 -T 1 -s /dhcp.sh
ip -4 address show dev eth0
ping -c 2 -W 2 ${GATEWAY}
ping -c 2 -W 2 ${SERVER}
nslookup host.test
wget -q -O /tmp/pattern http://${SERVER}/bytes/${BYTES}
echo "down: $(sha256sum < /tmp/pattern)"
echo "up: $(nc ${SERVER} 7001 < /tmp/pattern)"
`;

for (const kind of [...SWITCHES, 'own'] as const) {
  const suite = new Suite('qemu', kind, { guests: 0 });
  const needs = ['qemu-system-x86_64', 'busybox', 'guest-kernel', 'dnsmasq'];

  suite.test('a Linux guest on -netdev vde works', needs, async (t, lab) => {
    await lab.startDns();
    const said = await runLinux(lab, script);
    t.regex(said, /inet 10\.0\.2\.\d+\/24/, said);
    for (const address of [GATEWAY, SERVER]) {
      t.regex(said, new RegExp(`${address} ping statistics ---\\n2 packets transmitted, 2 packets received`), said);
    }
    t.regex(said, new RegExp(`Server:\\s+${DNS}\\n`), said);
    t.regex(said, /Address(?: \d)?:\s+192\.0\.2\.77/, said);
    t.true(said.includes(`down: ${patternDigest(BYTES)}`), said);
    t.true(said.includes(`up: ${BYTES} ${patternDigest(BYTES)}`), said);
  });

  suite.end();
}
