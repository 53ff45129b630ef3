import test from 'ava';
import fc from 'fast-check';
import { normaliseArgv } from '../../src/cli/argv.ts';
import { buildCommand, parseCommandLine } from '../../src/cli/parse.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { UNIXCMD } from '../../src/cli/unixcmd-options.ts';
import { UsageError } from '../../src/cli/usage-error.ts';

/** Words split at blanks; the normal form without the `--` when nothing follows it. */
const normal = (line: string): string => {
  const { argv } = normaliseArgv(SLIRPVDE, line === '' ? [] : line.split(' '));
  return argv.join(' ').replace(/ ?--$/, '');
};

const cases: [give: string, want: string][] = [
  ['', ''],
  // every name of the socket, separate, attached and with =
  ['-s /tmp/x', '--sock=/tmp/x'],
  ['-s/tmp/x', '--sock=/tmp/x'],
  ['-s=/tmp/x', '--sock=/tmp/x'],
  ['-sock /tmp/x', '--sock=/tmp/x'],
  ['-socket /tmp/x', '--sock=/tmp/x'],
  ['-vdesock /tmp/x', '--sock=/tmp/x'],
  ['-unix /tmp/x', '--sock=/tmp/x'],
  ['--sock /tmp/x', '--sock=/tmp/x'],
  ['--socket=/tmp/x', '--sock=/tmp/x'],
  ['--vdesock=/tmp/x', '--sock=/tmp/x'],
  ['--unix=/tmp/x', '--sock=/tmp/x'],
  ['-unix=/tmp/x', '--sock=/tmp/x'],
  ['/tmp/x', '-- /tmp/x'],
  ['-', '-- -'],
  ['-s -', '--sock=-'],
  // a value is the next word whatever it looks like
  ['-s -d', '--sock=-d'],
  ['--host --dhcp', '--host=--dhcp'],
  // flags
  ['-d', '--daemon'],
  ['-daemon', '--daemon'],
  ['--daemon', '--daemon'],
  ['-q', '--quiet'],
  ['-quiet', '--quiet'],
  ['-dq', '--daemon --quiet'],
  ['-qd', '--quiet --daemon'],
  ['-dqs /tmp/x', '--daemon --quiet --sock=/tmp/x'],
  ['-ds/tmp/x', '--daemon --sock=/tmp/x'],
  // DHCP: the value must be attached
  ['-D', '--dhcp'],
  ['-dhcp', '--dhcp'],
  ['--dhcp', '--dhcp'],
  ['-dhcp=10.0.2.100', '--dhcp=10.0.2.100'],
  ['--dhcp=10.0.2.100', '--dhcp=10.0.2.100'],
  ['-D10.0.2.100', '--dhcp=10.0.2.100'],
  ['-D=10.0.2.100', '--dhcp=10.0.2.100'],
  ['-Dq', '--dhcp --quiet'],
  ['-qD', '--quiet --dhcp'],
  ['-D -q', '--dhcp --quiet'],
  ['-dhcp 10.0.2.100', '--dhcp -- 10.0.2.100'],
  ['-dhcp /tmp/x', '--dhcp -- /tmp/x'],
  ['-D -L 22:10.0.2.15:22', '--dhcp --tcpfwd=22:10.0.2.15:22'],
  // network
  ['-H 10.0.2.1/24', '--host=10.0.2.1/24'],
  ['-H10.0.2.1/24', '--host=10.0.2.1/24'],
  ['-H2001::1/64', '--host=2001::1/64'],
  ['-host=10.0.2.1', '--host=10.0.2.1'],
  ['-host 10.0.2.1', '--host=10.0.2.1'],
  ['-n 10.0.3.0', '--host=10.0.3.0'],
  ['-n10.0.3.0', '--host=10.0.3.0'],
  ['-network 10.0.3.0', '--host=10.0.3.0'],
  ['--network=10.0.3.0', '--host=10.0.3.0'],
  ['-N 9.9.9.9', '--nameserver=9.9.9.9'],
  ['-N9.9.9.9', '--nameserver=9.9.9.9'],
  ['-nameserver 9.9.9.9', '--nameserver=9.9.9.9'],
  ['-dns 9.9.9.9', '--nameserver=9.9.9.9'],
  ['--dns=9.9.9.9', '--nameserver=9.9.9.9'],
  // the rest
  ['-L 22:10.0.2.15:22 -L23:10.0.2.15:23', '--tcpfwd=22:10.0.2.15:22 --tcpfwd=23:10.0.2.15:23'],
  ['-U 53:10.0.2.15:53', '--udpfwd=53:10.0.2.15:53'],
  ['-p /x -g kvm -m 660 -P 7', '--pidfile=/x --group=kvm --mode=660 --port=7'],
  ['-pidfile /x -group kvm -mod 660 -port 7', '--pidfile=/x --group=kvm --mode=660 --port=7'],
  ['--mode=660 --mtu 9000', '--mode=660 --mtu=9000'],
  ['--no-switch --no-host-loopback --verbose', '--no-switch --no-host-loopback --verbose'],
  // abbreviations, unique or between names of one option
  ['-daem', '--daemon'],
  ['--dh', '--dhcp'],
  ['-dh', '--dhcp'],
  ['-dn 9.9.9.9', '--nameserver=9.9.9.9'],
  ['-hos 10.0.2.1', '--host=10.0.2.1'],
  ['-net 10.0.2.0', '--host=10.0.2.0'],
  ['--na=9.9.9.9', '--nameserver=9.9.9.9'],
  ['-so /tmp/x', '--sock=/tmp/x'],
  ['-vde /tmp/x', '--sock=/tmp/x'],
  ['-mo 660', '--mode=660'],
  ['-pid /x', '--pidfile=/x'],
  ['-g=kvm', '--group=kvm'],
  // ours do not take prefixes from the original: --unix before --udpfwd, --vdesock before --verbose
  ['--u /tmp/x', '--sock=/tmp/x'],
  ['--v /tmp/x', '--sock=/tmp/x'],
  ['--udpf 1:10.0.2.15:1', '--udpfwd=1:10.0.2.15:1'],
  ['--verb', '--verbose'],
  // order and the end of options
  ['/tmp/x -d', '--daemon -- /tmp/x'],
  ['-d -- -q', '--daemon -- -q'],
  ['-- --help', '-- --help'],
];
for (const [give, want] of cases) test(`normal form of '${give}'`, (t) => t.is(normal(give), want));

const refused: [give: string, message: string, hint: string][] = [
  ['--d', "option '--d' is ambiguous", 'it could be --dns, --dhcp, --daemon'],
  ['--p 3', "option '--p' is ambiguous", 'it could be --port, --pidfile'],
  ['--no', "option '--no' is ambiguous", 'it could be --no-switch, --no-host-loopback, --no-host'],
  ['--ver', "option '--ver' is ambiguous", 'it could be --verbose, --version'],
  ['--n=10.0.2.1', "option '--n=10.0.2.1' is ambiguous", 'it could be --network, --nameserver'],
  ['--ud x', "option '--ud' is ambiguous", 'it could be --udp-filter, --udp-timeouts, --udpfwd'],
  ['--bogus', "unknown option '--bogus'", ''],
  ['--dhpc', "unknown option '--dhpc'", 'did you mean --dhcp?'],
  ['--sokcet=/tmp/x', "unknown option '--sokcet=/tmp/x'", 'did you mean --socket?'],
  ['-z', "unknown option '-z'", ''],
  ['-dz', "unknown option '-z' in '-dz'", ''],
  ['-do', "unknown option '-o' in '-do'", ''],
  ['-s', "option '-s' needs a value: -s DIR", ''],
  ['-dqs', "option '-s' needs a value: -s DIR", ''],
  ['-sock', "option '-sock' needs a value: -sock DIR", ''],
  ['-L', "option '-L' needs a value: -L FORWARD", ''],
  ['--sock=', "option '--sock' got an empty value; it needs DIR", ''],
  ['--dhcp=', "option '--dhcp' got an empty value; it needs START[/COUNT]", ''],
  ['-d=3', "option '-d' takes no value, but got '3'", ''],
  ['-dq=3', "option '-q' takes no value, but got '3'", ''],
  ['--quiet=yes', "option '--quiet' takes no value, but got 'yes'", ''],
  ['--=x', "unknown option '--=x'", ''],
  ['-=x', "unknown option '-=x'", ''],
  ['-\u{1F600}', "unknown option '-\u{1F600}'", ''],
];
for (const [give, message, hint] of refused) {
  test(`'${give}' is refused`, (t) => {
    const error = t.throws(() => normal(give), { instanceOf: UsageError });
    t.is(error.message, message);
    t.is(error.hint, hint);
    t.is(error.code, 'ERR_VDE_BAD_OPTION');
  });
}

test('an empty value and an empty word', (t) => {
  t.throws(() => normaliseArgv(SLIRPVDE, ['-s', '']), { instanceOf: UsageError, message: /empty value/ });
  t.deepEqual(normaliseArgv(SLIRPVDE, ['']).argv, ['--', '']);
});

for (const [give, key] of [
  ['-h', 'help'],
  ['-help', 'help'],
  ['--he', 'help'],
  ['-dh -s', 'none'],
  ['-qh --bogus', 'help'],
  ['--help --bogus', 'help'],
  ['-v', 'version'],
  ['--version', 'version'],
  ['-s -h', 'none'],
  ['-- -h', 'none'],
] as const) {
  test(`'${give}' asks for ${key}`, (t) => {
    const words = give === '-dh -s' ? ['-dh'] : give.split(' ');
    t.is(normaliseArgv(SLIRPVDE, words).immediate?.key ?? 'none', key);
  });
}

test('each name of each option leads to it, with one dash and with two', (t) => {
  for (const option of SLIRPVDE.options) {
    const words = option.argument.kind === 'required' ? ['value'] : [];
    const names = [...option.short.map((s) => `-${s}`), ...option.long.flatMap((l) => [`-${l}`, `--${l}`])];
    for (const name of names) {
      const { argv, immediate } = normaliseArgv(SLIRPVDE, [name, ...words]);
      if (option.immediate) t.is(immediate, option, name);
      else t.deepEqual(argv, [`--${option.long[0]}${words.length > 0 ? '=value' : ''}`, '--'], name);
    }
  }
});

test('the table: names are used once, keys are unique, commander takes all of it', (t) => {
  const names = SLIRPVDE.options.flatMap((option) => [...option.short, ...option.long]);
  t.is(new Set(names).size, names.length);
  t.is(new Set(SLIRPVDE.options.map((option) => option.key)).size, SLIRPVDE.options.length);
  for (const option of SLIRPVDE.options) t.true(option.short.every((letter) => letter.length === 1));
  t.is(buildCommand(SLIRPVDE).command.options.length, SLIRPVDE.options.length);
});

test('any words give a normal form or a usage error', (t) => {
  const names = SLIRPVDE.options.flatMap((option) => [...option.short, ...option.long]);
  const piece = fc.oneof(
    fc.constantFrom(...names),
    fc.string({ unit: 'binary', maxLength: 8 }),
    fc.constantFrom('=', '-'),
  );
  const word = fc
    .tuple(fc.constantFrom('', '-', '--'), fc.array(piece, { maxLength: 3 }))
    .map(([dashes, pieces]) => dashes + pieces.join(''));
  const { failed, seed, counterexample } = fc.check(
    fc.property(fc.array(word, { maxLength: 6 }), (words) => {
      try {
        const { argv } = normaliseArgv(SLIRPVDE, words);
        // Options first, all canonical, then the positional words: a fixed point.
        return normaliseArgv(SLIRPVDE, argv).argv.join('\0') === argv.join('\0');
      } catch (error) {
        return error instanceof UsageError;
      }
    }),
    { numRuns: 3000 },
  );
  t.false(failed, `seed ${seed}: ${JSON.stringify(counterexample)}`);
});

test('a command that hands words on takes options in front of them only', (t) => {
  const line = ['-s', '/x', '--timeout=5', 'port/print', '-s', '--', '-v'];
  const { values, positionals } = parseCommandLine(UNIXCMD, line);
  t.deepEqual(
    [...values],
    [
      ['sock', '/x'],
      ['timeout', '5'],
    ],
  );
  t.deepEqual(positionals, ['port/print', '-s', '--', '-v']);
  t.deepEqual(parseCommandLine(UNIXCMD, ['--', '-v', 'x']).positionals, ['-v', 'x']);
});
