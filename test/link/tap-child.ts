// TAP links inside a network namespace made for them (tap.test.ts): two interfaces joined by a bridge of the kernel.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Drop } from '../../src/core/drop.ts';
import { FrameMemory } from '../../src/core/frame.ts';
import { TapLink } from '../../src/link/tap.ts';
import { tcpFrame } from '../support/guest-frames.ts';
import { numbered, Recorder, turns, until } from './support.ts';

const ip = (...words: string[]): string => execFileSync('ip', words, { encoding: 'utf8' });
const memory = new FrameMemory();

/** The message of the VdeError that opening an interface ends in. */
function refusal(name: string): string {
  try {
    new TapLink({ name, memory });
    return 'opened';
  } catch (error) {
    return `${(error as { code?: string }).code} ${(error as Error).message}`;
  }
}

if (process.argv[2] === 'refused') {
  console.log(refusal('vdetap0'));
  process.exit();
}

writeFileSync('/proc/sys/net/ipv6/conf/default/disable_ipv6', '1'); // the kernel says nothing of itself
const a = new TapLink({ name: 'vdetap0', memory, mtu: 9216 });
const b = new TapLink({ name: 'vdetap1', memory, mtu: 9216 });
const send = (link: TapLink, frame: Uint8Array): void => link.tx.frame(frame, 0, frame.length);

send(a, numbered(1));
a.tx.flush();
const whileDown = a.drops[Drop.TxError];

ip('link', 'add', 'vdebr0', 'mtu', '9216', 'type', 'bridge', 'mcast_snooping', '0');
for (const name of ['vdetap0', 'vdetap1']) ip('link', 'set', name, 'mtu', '9216', 'master', 'vdebr0', 'up');
ip('link', 'set', 'vdebr0', 'up');
const back = new Recorder();
const there = new Recorder();
a.attach(back);
b.attach(there);

const slab = memory.region(200 * 64);
for (let i = 0; i < 200; i++) {
  memory.bytes.set(numbered(i), slab + i * 64 + 2);
  a.tx.frame(memory.bytes, slab + i * 64 + 2, 60);
}
a.tx.flush();
await until(() => there.frames.length >= 200, 'frames');
const inOrder = there.numbers.every((n, i) => n === i);
const batches = there.flushes;

// Streams: merged into the kernel, carried by its bridge in one piece, and cut again.
const inStream = there.frames.length;
const sent = Array.from({ length: 130 }, (_, i) =>
  tcpFrame({
    sport: 1,
    dport: 2,
    seq: i * 1000,
    flags: i % 50 === 49 ? 'AP' : 'A',
    data: new Uint8Array(1000).fill(i),
  }),
);
const streamSlab = memory.region(sent.length * 1100);
for (const [i, frame] of sent.entries()) {
  const off = streamSlab + i * 1100 + 2;
  memory.bytes.set(frame, off);
  a.tx.frame(memory.bytes, off, frame.length);
}
a.tx.flush();
await until(() => there.frames.length >= inStream + sent.length, 'a stream');
const received = there.frames.slice(inStream);
const stream = sent.every((frame, i) => Buffer.compare(frame, received[i]!) === 0);

send(b, numbered(7, 9230, 2));
b.tx.flush();
await until(() => back.frames.length > 0, 'a long frame');
send(a, numbered(1, 9235));
send(a, numbered(1, 18).subarray(0, 13));

const busy = refusal('vdetap0');
const states: boolean[] = [];
b.onState = (up) => states.push(up);
ip('link', 'delete', 'vdetap1');
await until(() => states.length > 0, 'the end of the link');
send(b, numbered(1));
b.tx.flush();
const cpu = process.cpuUsage();
await turns(50);
const idle = process.cpuUsage(cpu).user < 100_000;
await a.close();
await a.close();
await b.close();

console.log(
  JSON.stringify({
    whileDown,
    inOrder,
    batched: batches <= 20,
    longFrame: back.frames[0]!.length,
    stream,
    stats: { ...a.stats },
    tooLong: a.drops[Drop.FrameTooLong],
    tooShort: a.drops[Drop.FrameTooShort],
    busy,
    states,
    lateFrames: b.drops[Drop.LinkDown],
    idle,
    left: ip('-o', 'link').includes('vdetap'),
    badNames: ['', 'a/b', 'tap%d', 'a234567890123456', 'lo'].map(refusal),
  }),
);
process.exit();
