// Plug addresses, and the links that nothing else tests.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import test from 'ava';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { joinLinks } from '../../src/link/cable.ts';
import { splitWords } from '../../src/link/command-plug.ts';
import { InheritedLink } from '../../src/link/inherited-link.ts';
import { memoryPair } from '../../src/link/memory.ts';
import { parseUdpWire } from '../../src/link/udp-link.ts';
import { openPlug } from '../../src/link/url.ts';
import { datagramPair, numbered, Recorder, tempDir, until } from './support.ts';

const memory = new FrameMemory();
const open = (address: string) => openPlug(address, { memory, description: 'test' });

const wires: [string, ReturnType<typeof parseUdpWire> | null][] = [
  ['1->2:3', { source: '', sourcePort: 1, peer: '2', peerPort: 3 }],
  ['a:1->b:2', { source: 'a', sourcePort: 1, peer: 'b', peerPort: 2 }],
  ['[::1]:1->[fe80::2]:2', { source: '::1', sourcePort: 1, peer: 'fe80::2', peerPort: 2 }],
  ['0->b:2', null],
  ['1->b:65536', null],
  ['1->b', null],
  ['1', null],
  ['::1:1->b:2', null],
];
for (const [text, want] of wires)
  test(`udp://${text}`, (t) => {
    if (want === null) t.throws(() => parseUdpWire(text), { code: 'ERR_VDE_BAD_ADDRESS' });
    else t.deepEqual(parseUdpWire(text), want);
  });

const commands: [string, string[] | null][] = [
  ['cat -u  x', ['cat', '-u', 'x']],
  [`sh -c 'a "b" c' "d 'e'" f\\ g`, ['sh', '-c', 'a "b" c', "d 'e'", 'f g']],
  ['a"b"c \'\'', ['abc', '']],
  ['', []],
  ["it's", null],
];
for (const [text, want] of commands) test(`words of: ${text}`, (t) => t.deepEqual(splitWords(text), want));

for (const address of [
  'bogus://x',
  'udp://1',
  'seqpacket://x',
  'seqpacket://987',
  'cmd://',
  'ptp://',
  'ptp:///tmp/x[y]',
])
  test(`${address} is refused`, async (t) => {
    await t.throwsAsync(open(address), { code: 'ERR_VDE_BAD_ADDRESS' });
  });

test('null:// takes everything', async (t) => {
  const { link, ended } = await open('null://');
  link.tx.frame(numbered(1), 0, 60);
  link.tx.flush();
  t.is(link.stats.txBytes, 60);
  await link.close();
  t.is(await ended, '');
});

test('seqpacket:// with datagrams: frames both ways, and the end', async (t) => {
  const [one, two] = datagramPair(tempDir(t));
  const a = new InheritedLink({ fd: one, memory, mtu: 1500 });
  const b = new InheritedLink({ fd: two, memory, mtu: 1500 });
  const sink = new Recorder();
  b.attach(sink);
  a.tx.frame(numbered(5), 0, 60);
  a.tx.flush();
  await until(() => sink.frames.length === 1);
  await b.close();
  const states: boolean[] = [];
  a.onState = (up) => states.push(up);
  a.tx.frame(numbered(6), 0, 60);
  a.tx.flush();
  await until(() => states.length > 0);
  t.deepEqual([sink.numbers, states, a.drops[Drop.TxError]], [[5], [false], 1]);
});

test('cmd:// echoes frames; its end and its status are told', async (t) => {
  const { link, ended } = await open('cmd://cat');
  const sink = new Recorder();
  link.attach(sink);
  for (let i = 0; i < 50; i++) link.tx.frame(numbered(i, 60 + i), 0, 60 + i);
  link.tx.flush();
  await until(() => sink.frames.length === 50, 'echo');
  await link.close();
  t.is(await ended, '');
  const failing = await open('cmd://sh -c "exit 3"');
  failing.link.attach(new Recorder());
  t.is(await failing.ended, 'sh ended with status 3');
  await t.throwsAsync(open('cmd://nosuchprogram'), { code: 'ERR_VDE_SYSTEM', message: /no such program/ });
});

test('ptp://: names are removed, those of killed processes taken over', async (t) => {
  const path = join(tempDir(t), 'p');
  // A socket that nobody has is left by a process that was killed.
  const script = `require('net').createServer().listen('${path}', () => process.kill(process.pid, 9))`;
  spawnSync(process.execPath, ['-e', script]);
  const a = await open(`ptp://${path}`);
  const b = await open(`ptp://${path}`);
  const sink = new Recorder();
  a.link.attach(sink);
  b.link.attach(new Recorder());
  b.link.tx.frame(numbered(3), 0, 60);
  b.link.tx.flush();
  await until(() => sink.frames.length === 1);
  await t.throwsAsync(open(`ptp://${path}`), { code: 'ERR_VDE_LISTEN', message: /two others use it/ });
  await a.link.close();
  await b.link.close();
  t.is(spawnSync('ls', ['-A', join(path, '..')], { encoding: 'utf8' }).stdout, '');
});

test('a cable shows an observer what comes from the second link', (t) => {
  const [a, farA] = memoryPair('a', { delivery: 'direct' });
  const [b, farB] = memoryPair('b', { delivery: 'direct' });
  const seen: number[] = [];
  joinLinks(a, b, (bytes, off) => seen.push(bytes[off + 17]!));
  const sinkA = new Recorder();
  farA.attach(sinkA);
  farB.attach(new Recorder());
  farA.tx.frame(numbered(1), 0, 60);
  farB.tx.frame(numbered(2), 0, 60);
  t.deepEqual([seen, sinkA.numbers], [[2], [2]]);
});
