import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { mergeCommands, parseConfigText, readConfigFile } from '../../src/cli/config-file.ts';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { slirpvdeConfig } from '../../src/cli/slirpvde-config.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { UsageError } from '../../src/cli/usage-error.ts';

const parse = (text: string) => parseConfigText(SLIRPVDE, text, 'f');
const command = (line: string) => parseCommandLine(SLIRPVDE, line === '' ? [] : line.split(' '));
const both = (line: string, text: string) => slirpvdeConfig(mergeCommands(command(line), parse(text)), '/home/me');

test('a line is a name and its value; blanks around, comments and empty lines do not count', (t) => {
  const { values } = parse(
    '# comment\n\n  host\t10.0.5.0/24  \r\ndhcp\ntcpfwd 1:10.0.5.15:1\ntcpfwd 2:10.0.5.15:2\nsock /a b#c\n',
  );
  t.deepEqual([...values].sort(), [
    ['dhcp', true],
    ['host', ['10.0.5.0/24']],
    ['sock', '/a b#c'],
    ['tcp', ['1:10.0.5.15:1', '2:10.0.5.15:2']],
  ]);
  t.is(parse('dhcp 10.0.2.100').values.get('dhcp'), '10.0.2.100');
});

const wrong: [text: string, message: RegExp][] = [
  ['dhcp\nbogus 1', /^f:2: there is no option 'bogus'$/],
  ['netw 10.0.0.0', /^f:1: there is no option 'netw'$/],
  ['-L 1:10.0.2.15:1', /^f:1: there is no option '-L'$/],
  ['--dhcp', /^f:1: there is no option '--dhcp'$/],
  ['host', /^f:1: option 'host' needs a value: host ADDR/],
  ['quiet yes', /^f:1: option '--quiet' takes no value, but got 'yes'$/],
  ['config other', /^f:1: option 'config' is for the command line only$/],
  ['help', /^f:1: option 'help' is for the command line only$/],
];
for (const [text, message] of wrong) {
  test(`refused: ${JSON.stringify(text)}`, (t) => {
    t.regex(t.throws(() => parse(text), { instanceOf: UsageError }).message, message);
  });
}

test('no file, a directory', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'vdenet-config-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const at = (path: string) =>
    t.throws(() => readConfigFile(SLIRPVDE, path, (file) => file), { instanceOf: UsageError }).message;
  t.is(at(join(dir, 'none')), `cannot read the configuration file ${join(dir, 'none')}: ENOENT`);
  t.regex(at(dir), /not a file of at most 65536 bytes$/);
});

test('the command line counts more; repeatable options add up', (t) => {
  const config = both(
    '-H 10.1.0.0/16 -L 2:10.1.0.15:2 --verbose /tmp/x',
    'host 10.5.0.0/16\nsock /tmp/y\nquiet\ntcpfwd 1:10.1.0.15:1\nmtu 1400',
  );
  t.is(config.socket, '/tmp/x');
  t.deepEqual([config.quiet, config.verbose, config.mtu], [false, true, 1400]);
  t.is(config.networks.ipv4[0]!.network, 0x0a010000);
  t.deepEqual(
    config.forwards.map((f) => f.listen.port),
    [1, 2],
  );
});

test('rules of the command line come before those of the file', (t) => {
  const { rules } = both('--allow 10.1.0.0/16 --deny 10.0.0.0/8', 'deny 10.1.0.0/16\nallow 192.0.2.1\n');
  t.deepEqual(
    rules.map(({ allow, network }) => [allow, network[3]]),
    [
      [true, 0x0a010000],
      [false, 0x0a000000],
      [false, 0x0a010000],
      [true, 0xc0000201 | 0],
    ],
  );
});

test('what a file says is checked like the command line', (t) => {
  t.throws(() => both('', 'tcpfwd x'), { code: 'ERR_VDE_BAD_FORWARD' });
  t.throws(() => both('--no-switch', 'qemu-stream /q'), { instanceOf: UsageError });
});

const lines: readonly { readonly command: string; readonly text: string; readonly want: RegExp }[] = [
  { command: '', text: '# x\n\ntcpfwd x\nmtu 1400\n', want: /^FILE:3: option '-L': bad forward 'x'/ },
  { command: '', text: 'mtu 1400\ndeny 10.0.0.0/99\n', want: /^FILE:2: option '--deny': bad rule/ },
  { command: '', text: 'dhcp\ndhcp-host nonsense\ndhcp-lease-time 600', want: /^FILE:2: option '--dhcp-host'/ },
  { command: '', text: 'leases /l\nmtu 1400', want: /^FILE:1: option '--leases' means nothing without --dhcp/ },
  { command: '', text: 'tcpfwd 1:10.0.2.15:1\ntcpfwd 1:10.0.2.16:1\n', want: /^FILE:2: two forwards of TCP port 1/ },
  { command: '-L 1:10.0.2.15:1', text: 'quiet\ntcpfwd 1:10.0.2.16:1\n', want: /^FILE:2: two forwards of TCP port 1/ },
  { command: '--no-switch', text: 'qemu-stream /q', want: /^FILE:1: guests of QEMU/ },
  { command: '--mtu 1', text: 'quiet\ndhcp\n', want: /^option '--mtu': '1' is not/ },
  { command: '', text: 'quiet\nmtoo 4\n', want: /^FILE:2: there is no option 'mtoo'/ },
];
for (const { command: given, text, want } of lines) {
  test(`the line is named: '${given}' with ${JSON.stringify(text)}`, (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'vdenet-config-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    const path = join(dir, 'conf');
    writeFileSync(path, text);
    const read = () =>
      readConfigFile(SLIRPVDE, path, (file) => slirpvdeConfig(mergeCommands(command(given), file), '/'));
    t.regex(t.throws(read, { instanceOf: UsageError }).message.replaceAll(path, 'FILE'), want);
  });
}
