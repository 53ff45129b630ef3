import test from 'ava';
import { UsageError } from '../../src/cli/usage-error.ts';
import { descriptorsOf, rewriteQemu } from '../../src/cli/vdeq-rewrite.ts';

const cases: [name: string, give: string, want: string][] = [
  ['nothing of VDE passes as it is', '-hda x -net nic -net user -m 5', '-hda x -net nic -net user -m 5'],
  ["QEMU's own words pass", '-netdev vde,id=n,sock=/s -nic vde', '-netdev vde,id=n,sock=/s -nic vde'],
  ['a vde without a card gets one', '-net vde', '-nic vde'],
  [
    'a card and a vde',
    '-net nic,model=e1000,macaddr=52:54:0:0:0:1 -net vde,sock=/s,port=3',
    '-nic vde,sock=/s,port=3,model=e1000,mac=52:54:0:0:0:1',
  ],
  ['two dashes', '--net vde,sock=/s', '-nic vde,sock=/s'],
  ['the order of other words stays', '-a -net vde b -net nic -c', '-nic vde -a b -c'],
  [
    'two vlans',
    '-net nic,vlan=0 -net nic,vlan=1 -net vde,vlan=0 -net vde,vlan=1,sock=/m,port=10',
    '-nic vde -nic vde,sock=/m,port=10',
  ],
  ['vlans of other backends', '-net nic,vlan=2 -net tap,vlan=2,fd=5,ifname=x', '-nic tap,fd=5,ifname=x'],
  ['-sock: a card for each', '-sock /a,/b -b c', '-nic vde,sock=/a -nic vde,sock=/b -b c'],
  ['-sock with cards', '-sock /a,/b -net nic,macaddr=1 -net nic,vlan=1', '-nic vde,sock=/a,mac=1 -nic vde,sock=/b'],
  [
    '--mod is for all that say nothing',
    '--mod 770 -net vde,sock=/a,vlan=0 -net vde,vlan=1,mode=700',
    '-nic vde,sock=/a,mode=770 -nic vde,mode=700',
  ],
  ['a name becomes the id', '-net vde,name=n', '-nic vde,id=n'],
  ['a comma in a path', '-net vde,sock=/a,,b', '-nic vde,sock=/a,,b'],
  ['-net none takes nothing away', '-net none -net vde', '-nic vde'],
  ['a card without backend', '-net nic,vlan=3 -net vde,vlan=1', '-nic vde -nic hubport,hubid=3'],
  [
    'a backend of another kind without card',
    '-net user,vlan=1',
    '-netdev user,id=vlan1net0 -netdev hubport,id=vlan1port0,hubid=1,netdev=vlan1net0',
  ],
  [
    'one card on two switches is a hub',
    '-net nic -net vde,sock=/a -net vde,sock=/b',
    '-nic hubport,hubid=0 -netdev vde,id=vlan0net0,sock=/a -netdev hubport,id=vlan0port0,hubid=0,netdev=vlan0net0 ' +
      '-netdev vde,id=vlan0net1,sock=/b -netdev hubport,id=vlan0port1,hubid=0,netdev=vlan0net1',
  ],
];
for (const [name, give, want] of cases) {
  test(`vdeq: ${name}`, (t) => t.is(rewriteQemu(give.split(' ')).join(' '), want));
}

const refused: [give: string, message: RegExp][] = [
  ['-net', /^-net needs a value$/],
  ['-net vde,bogus=1', /QEMU's vde has no 'bogus'/],
  ['-net vde,port=x', /'x' is not a port/],
  ['-net vde,mode=9', /'9' is not a mode/],
  ['-net vde,sock', /'sock' is not name=value/],
  ['-net vde,vlan=x', /'x' is not the number of a vlan/],
  ['-net nic,vectors=3 -net vde', /'vectors' has no counterpart in -nic/],
  ['--mod 800 -net vde', /'800' is not a mode in octal/],
  ['--mod 700 -hda x', /there is no -net vde/],
  [Array.from({ length: 65 }, (_, i) => `-net vde,vlan=${i}`).join(' '), /more than 64 networks/],
];
for (const [give, message] of refused) {
  test(`vdeq refuses: ${give.slice(0, 40)}`, (t) => {
    t.throws(() => rewriteQemu(give.split(' ')), { instanceOf: UsageError, message });
  });
}

test('vdeq: descriptors that QEMU must inherit', (t) => {
  t.deepEqual(
    descriptorsOf(['-netdev', 'tap,fds=7:4,vhostfd=9', '-add-fd', 'fd=3,set=1', 'x=fd', 'fd=1']),
    [3, 4, 7, 9],
  );
});
