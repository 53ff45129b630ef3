import test from 'ava';
import { parseRaFile } from '../../src/cli/ra-file.ts';
import { parseAddress } from '../../src/core/address.ts';
import { RA_DEFAULTS } from '../../src/services/index.ts';
import { INFINITE_SEC } from '../../src/wire/router-advert.ts';

const RADVD = `# what guests are told
interface vd0 {
  AdvSendAdvert on;
  MaxRtrAdvInterval 300;
  AdvManagedFlag on;  # addresses by DHCPv6 too
  AdvLinkMTU 1400;
  prefix 2001:db8::/64 {
    AdvValidLifetime infinity;
    AdvPreferredLifetime 600;
  };
  prefix 2001:db8:1::/48 { AdvOnLink off; };
  prefix 2001:db8:2::/64;
  RDNSS 2001:db8::1 2001:db8::2 { AdvRDNSSLifetime 900; };
  DNSSL lab.test more.test { };
  nat64prefix 64:ff9b::/96 { AdvValidLifetime 900; };
};
`;

test("radvd's form: every setting", (t) => {
  const s = parseRaFile('f', RADVD);
  t.is(s.maxRtrAdvIntervalSec, 300);
  t.is(s.minRtrAdvIntervalSec, 100);
  t.is(s.advDefaultLifetimeSec, 900);
  t.true(s.advManagedFlag);
  t.is(s.advLinkMtu, 1400);
  t.deepEqual(
    s.prefixes.map((p) => [p.prefixLen, p.onLink, p.autonomous, p.validSec, p.preferredSec]),
    [
      [64, true, true, INFINITE_SEC, 600],
      [48, false, false, 86_400, 14_400],
      [64, true, true, 86_400, 14_400],
    ],
  );
  t.deepEqual(s.rdnss, [{ servers: [parseAddress('2001:db8::1')!, parseAddress('2001:db8::2')!], lifetimeSec: 900 }]);
  t.deepEqual(s.dnssl, [{ names: ['lab.test', 'more.test'], lifetimeSec: 900 }]);
  t.deepEqual(s.pref64, [{ prefix: parseAddress('64:ff9b::')!, prefixLen: 96, lifetimeSec: 900 }]);
});

test("slirpvde6's form", (t) => {
  const s = parseRaFile(
    'f',
    '# old\n[vd0]\nMaxRtrAdvInterval = 60\nAdvOtherConfigFlag = off\n\n' +
      'AddPrefix = 2001::/64 , AdvOnLinkFlag = on , AdvAutonomousFlag = off\nAddPrefix = 2002::/64\n',
  );
  t.is(s.maxRtrAdvIntervalSec, 60);
  t.false(s.advOtherConfigFlag);
  t.deepEqual(
    s.prefixes.map((p) => [p.prefix[0], p.autonomous]),
    [
      [0x20010000, false],
      [0x20020000, true],
    ],
  );
});

test('what is not written has its default', (t) => {
  t.deepEqual(parseRaFile('f', 'interface eth0 { };'), RA_DEFAULTS);
});

const errors: { name: string; give: string; want: RegExp }[] = [
  { name: 'empty', give: '# nothing\n', want: /^f:1: the file says nothing/ },
  { name: 'unknown setting', give: 'interface a {\n  AdvFoo on;\n};', want: /^f:2: 'AdvFoo' is not a setting/ },
  { name: 'bad flag', give: 'interface a {\nAdvSendAdvert maybe;\n}', want: /^f:2: AdvSendAdvert is 'on' or 'off'/ },
  { name: 'out of range', give: 'interface a {\n\nMaxRtrAdvInterval 2000;\n}', want: /^f:3: .* from 4 to 1800/ },
  { name: 'small MTU', give: 'interface a { AdvLinkMTU 1279; }', want: /^f:1: .*at least 1280/ },
  {
    name: 'no semicolon',
    give: 'interface a {\nAdvSendAdvert on\n};',
    want: /^f:3: ';' is missing behind AdvSendAdvert on/,
  },
  { name: 'cut short', give: 'interface a {\n', want: /the file ends where '}' was expected/ },
  { name: 'no section', give: 'AdvSendAdvert on;', want: /^f:1: 'interface' is missing/ },
  { name: 'second section', give: 'interface a { };\ninterface b { };', want: /^f:2: there is one network/ },
  { name: 'bad prefix', give: 'interface a {\nprefix 10.0.0.0/8 { };\n}', want: /^f:2: '10.0.0.0\/8' is not an IPv6/ },
  {
    name: 'SLAAC with another length',
    give: 'interface a {\nprefix 2001::/48 { AdvAutonomous on; };\n}',
    want: /^f:2: only prefixes of 64 bits/,
  },
  {
    name: 'preferred beyond valid',
    give: 'interface a {\nprefix 2001::/64 { AdvValidLifetime 5; };\n}',
    want: /^f:2: AdvPreferredLifetime/,
  },
  { name: 'RDNSS of nothing', give: 'interface a {\nRDNSS { };\n}', want: /^f:2: RDNSS names nothing/ },
  { name: 'RDNSS with a name', give: 'interface a {\nRDNSS ns.test { };\n}', want: /^f:2: 'ns.test/ },
  { name: 'DNSSL with a bad name', give: 'interface a {\nDNSSL a..b { };\n}', want: /^f:2: 'a..b' is not a domain/ },
  { name: 'PREF64 of a wrong length', give: 'interface a {\nnat64prefix 2001::/72 { };\n}', want: /^f:2: .* not 72/ },
  { name: 'minimum above', give: 'interface a { MaxRtrAdvInterval 10; MinRtrAdvInterval 9; }', want: /^f:1: MinRtr/ },
  { name: 'lifetime below', give: 'interface a { AdvDefaultLifetime 9; }', want: /^f:1: AdvDefaultLifetime is 0 or/ },
  { name: 'lines: two on one', give: '[a]\nAdvSendAdvert = on off\n', want: /^f:2: .* before 'off'/ },
  { name: 'lines: no sign', give: '[a]\nAdvSendAdvert on\n', want: /^f:2: '=' is missing/ },
  { name: 'lines: second section', give: '[a]\n[b]\n', want: /^f:2: there is one network/ },
  { name: 'lines: comment first', give: '# x\n\n[a]\nFoo = 1\n', want: /^f:4: 'Foo' is not a setting/ },
];
for (const { name, give, want } of errors) {
  test(`error: ${name}`, (t) => {
    t.regex(t.throws(() => parseRaFile('f', give), { code: 'ERR_VDE_BAD_OPTION' })!.message, want);
  });
}
