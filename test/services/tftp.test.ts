import test from 'ava';
import fc from 'fast-check';
import { type Endpoint, parseEndpoint } from '../../src/core/address.ts';
import { Drop, type DropName, newDropCounters } from '../../src/core/drop.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { TftpServer, TRANSFERS_MAX, TRANSFERS_PER_GUEST } from '../../src/services/tftp.ts';
import { WINDOW_MAX } from '../../src/services/tftp-transfer.ts';
import * as tftp from '../../src/wire/tftp.ts';
import { FakeClock } from '../support/fake-clock.ts';

const GUEST = parseEndpoint('10.0.2.15', 2000);
const OTHER = parseEndpoint('10.0.2.16', 2000);

interface Sent {
  to: string;
  port: number;
  text: string;
  bytes: Uint8Array;
}

/** Request bytes: opcode, words each ended by NUL. */
const request = (op: number, ...words: string[]): Uint8Array =>
  Uint8Array.from([0, op, ...Buffer.from(words.map((w) => `${w}\0`).join(''), 'latin1')]);
const rrq = (file: string, mode = 'octet', ...options: string[]): Uint8Array => request(1, file, mode, ...options);
const ack = (n: number): Uint8Array => Uint8Array.of(0, 4, n >> 8, n & 255);

function show(b: Uint8Array): string {
  const op = b[1];
  const words = Buffer.from(b.subarray(op === 6 ? 2 : 4))
    .toString('latin1')
    .split('\0')
    .slice(0, -1);
  if (op === 3) return `DATA ${tftp.block(b, 0)} ${b.length - 4}`;
  if (op === 5) return `ERROR ${tftp.block(b, 0)} ${words[0]}`;
  return `OACK ${words.join(' ')}`;
}

function harness(
  files: Record<string, Uint8Array | 'forbidden'> = {},
  options: { later?: boolean; mtu?: number } = {},
) {
  const clock = new FakeClock();
  const wheel = new TimerWheel(clock);
  const drops = newDropCounters();
  const sent: Sent[] = [];
  const waiting: (() => void)[] = [];
  const counts = { open: 0, closed: 0 };
  let broken = false;
  let port = 0;
  const soon = (run: () => void): void => void (options.later ? waiting.push(run) : run());
  const server = new TftpServer({
    wheel,
    drops,
    mtu: options.mtu ?? 1500,
    random: () => port++,
    send: (client, from, b, len) => {
      sent.push({ to: client.toString(), port: from, text: show(b.slice(0, len)), bytes: b.slice(0, len) });
    },
    files: {
      open(name, done) {
        const data = files[name];
        soon(() => {
          if (data === undefined || data === 'forbidden') {
            done(null, data === undefined ? 'missing' : 'forbidden');
            return;
          }
          counts.open++;
          done(
            {
              size: data.length,
              read: (position, b, finish) => {
                // Never more than 1000 bytes at a time, as a file system may do.
                const part = data.subarray(position, position + Math.min(b.length, 1000));
                soon(() => {
                  b.set(part);
                  finish(broken ? -1 : part.length);
                });
              },
              close: () => counts.closed++,
            },
            'missing',
          );
        });
      },
    },
  });
  return {
    server,
    clock,
    counts,
    drops: (name: DropName): number => drops[Drop[name]]!,
    break: () => {
      broken = true;
    },
    run: () => {
      while (waiting.length > 0) waiting.shift()!();
    },
    take: (): Sent[] => sent.splice(0),
    /** Sends a message and gives what came back. */
    say(b: Uint8Array, port = 69, from: Endpoint = GUEST): Sent[] {
      const loan = new Uint8Array(b.length + 6).fill(0xee);
      loan.set(b, 3);
      const taken = server.handle(from, port, loan, 3, 3 + b.length);
      loan.fill(0x55);
      if (!taken) throw new Error(`port ${port} is not the server's`);
      return sent.splice(0);
    },
    /** Reads a whole file. */
    fetch(b: Uint8Array, from: Endpoint = GUEST): Uint8Array {
      let [m] = this.say(b, 69, from);
      const parts: Uint8Array[] = [];
      if (m!.bytes[1] === 6) [m] = this.say(ack(0), m!.port, from);
      for (let n = 1; m !== undefined; n++) {
        if (m.bytes[1] !== 3 || tftp.block(m.bytes, 0) !== (n & 0xffff)) throw new Error(m.text);
        parts.push(m.bytes.subarray(4));
        [m] = this.say(ack(n & 0xffff), m.port, from);
      }
      return Buffer.concat(parts);
    },
  };
}
const pattern = (len: number): Uint8Array => Uint8Array.from({ length: len }, (_, i) => (i * 7 + (i >> 8)) & 255);
const texts = (sent: Sent[]): string[] => sent.map((m) => m.text);

test('RFC 1350: blocks of 512 bytes, one at a time, the end is a short one', (t) => {
  const h = harness({ f: pattern(1000) });
  const [first] = h.say(rrq('f'));
  t.is(first?.text, 'DATA 1 512');
  t.is(first?.to, '10.0.2.15:2000');
  t.true(first!.port >= 49_152, 'a port of its own');
  t.deepEqual(texts(h.say(ack(1), first!.port)), ['DATA 2 488']);
  t.is(h.server.size, 1);
  t.deepEqual(h.say(ack(2), first!.port), []);
  t.is(h.server.size, 0);
  t.deepEqual(h.counts, { open: 1, closed: 1 });
});

for (const len of [0, 1, 511, 512, 513, 1024, 100_000]) {
  test(`a file of ${len} bytes arrives`, (t) => {
    const h = harness({ f: pattern(len) });
    t.deepEqual([...h.fetch(rrq('f'))], [...pattern(len)]);
    t.deepEqual([...h.fetch(rrq('f', 'OCTET', 'blksize', '1428'))], [...pattern(len)]);
    t.is(h.server.size, 0);
  });
}

test('block numbers wrap to 0 after 65535', (t) => {
  const data = pattern(8 * 66_000);
  const h = harness({ f: data });
  t.true(Buffer.from(data).equals(h.fetch(rrq('f', 'octet', 'blksize', '8'))));
});

test('files that are read later: the same, and acknowledgments meanwhile change nothing', (t) => {
  const h = harness({ f: pattern(600) }, { later: true });
  t.deepEqual(h.say(rrq('f')), []);
  t.deepEqual(h.say(rrq('f')), [], 'a repeated request does not open it twice');
  h.run();
  const [first] = h.take();
  t.is(first?.text, 'DATA 1 512');
  t.is(h.counts.open, 1);
  t.deepEqual(h.say(ack(1), first!.port), []);
  t.deepEqual(h.say(ack(1), first!.port), []);
  t.deepEqual(h.say(ack(2), first!.port), []);
  h.run();
  t.deepEqual(texts(h.take()), ['DATA 2 88']);
});

// Options.

const options: { name: string; give: string[]; mtu?: number; want: string }[] = [
  { name: 'blksize', give: ['blksize', '1428'], want: 'OACK blksize 1428' },
  { name: 'blksize beyond the MTU is lowered', give: ['blksize', '65464'], want: 'OACK blksize 1468' },
  { name: 'blksize on a small link', give: ['blksize', '1428'], mtu: 576, want: 'OACK blksize 544' },
  { name: 'names in any case', give: ['BlkSize', '8'], want: 'OACK blksize 8' },
  { name: 'tsize', give: ['tsize', '0'], want: 'OACK tsize 1000' },
  { name: 'timeout', give: ['timeout', '3'], want: 'OACK timeout 3' },
  {
    name: 'all',
    give: ['tsize', '0', 'timeout', '5', 'blksize', '512'],
    want: 'OACK blksize 512 timeout 5 tsize 1000',
  },
  { name: 'unknown ones are left out', give: ['multicast', '', 'x', 'y'], want: 'DATA 1 512' },
  { name: 'windowsize', give: ['windowsize', '4'], want: 'OACK windowsize 4' },
  { name: 'windowsize over ours is lowered', give: ['windowsize', '65535'], want: `OACK windowsize ${WINDOW_MAX}` },
  { name: 'windowsize of 0', give: ['windowsize', '0'], want: 'DATA 1 512' },
  { name: 'windowsize of 65536', give: ['windowsize', '65536'], want: 'DATA 1 512' },
  { name: 'blksize over 65464', give: ['blksize', '65465'], want: 'DATA 1 512' },
  { name: 'the first of a name counts', give: ['blksize', '8', 'blksize', '16'], want: 'OACK blksize 8' },
  { name: 'blksize below 8', give: ['blksize', '7'], want: 'DATA 1 512' },
  { name: 'blksize that is no number', give: ['blksize', '1e3'], want: 'DATA 1 512' },
  { name: 'timeout of 0', give: ['timeout', '0'], want: 'DATA 1 512' },
  { name: 'timeout of 6 s', give: ['timeout', '6'], want: 'DATA 1 512' },
  { name: 'a name without value', give: ['tsize'], want: 'DATA 1 512' },
];
for (const { name, give, mtu, want } of options) {
  test(`RFC 2347 to 2349, 7440: ${name}`, (t) => {
    const h = harness({ f: pattern(1000) }, mtu === undefined ? {} : { mtu });
    t.deepEqual(texts(h.say(rrq('f', 'octet', ...give))), [want]);
  });
}

test('OACK is acknowledged by ACK 0; an error instead ends the transfer (RFC 2347)', (t) => {
  const h = harness({ f: pattern(1000) });
  const [oack] = h.say(rrq('f', 'octet', 'blksize', '1428', 'tsize', '0'));
  t.deepEqual(texts(h.say(ack(0), oack!.port)), ['DATA 1 1000']);
  const [again] = h.say(rrq('f', 'octet', 'tsize', '0'), 69, OTHER);
  t.deepEqual(h.say(Uint8Array.of(0, 5, 0, 8, 0), again!.port, OTHER), []);
  t.is(h.server.size, 1);
});

// Windows.

/** Starts a transfer in windows; the port, and the first window. */
function windows(h: ReturnType<typeof harness>, size: number, mode = 'octet') {
  const [oack] = h.say(rrq('f', mode, 'windowsize', String(size)));
  const { port } = oack!;
  return { port, first: h.say(ack(0), port) };
}

test('RFC 7440: a window of blocks for each ACK, and the end after the last of them', (t) => {
  const h = harness({ f: pattern(512 * 9 + 100) });
  const { port, first } = windows(h, 4);
  t.deepEqual(texts(first), ['DATA 1 512', 'DATA 2 512', 'DATA 3 512', 'DATA 4 512']);
  t.deepEqual(texts(h.say(ack(4), port)), ['DATA 5 512', 'DATA 6 512', 'DATA 7 512', 'DATA 8 512']);
  const rest = h.say(ack(8), port);
  t.deepEqual(texts(rest), ['DATA 9 512', 'DATA 10 100']);
  t.deepEqual([...rest[1]!.bytes.subarray(4)], [...pattern(512 * 9 + 100)].slice(-100));
  t.deepEqual(h.say(ack(10), port), []);
  t.is(h.server.size, 0);
  t.is(h.counts.closed, 1);
});

test('RFC 7440 4: what is behind the ACK goes again, and the window is filled up', (t) => {
  const h = harness({ f: pattern(512 * 20) });
  const { port, first } = windows(h, 4);
  const again = h.say(ack(2), port); // 3 was lost
  t.deepEqual(texts(again), ['DATA 3 512', 'DATA 4 512', 'DATA 5 512', 'DATA 6 512']);
  t.deepEqual([...again[0]!.bytes], [...first[2]!.bytes], 'the same bytes');
  t.deepEqual(h.say(ack(7), port), [], 'nothing of that number is outstanding');
  t.deepEqual(texts(h.say(ack(2), port)), ['DATA 3 512', 'DATA 4 512', 'DATA 5 512', 'DATA 6 512'], '3 was lost again');
  t.deepEqual(h.say(ack(2), port), [], 'once');
  h.clock.advance(1000);
  t.deepEqual(
    texts(h.take()),
    ['DATA 3 512', 'DATA 4 512', 'DATA 5 512', 'DATA 6 512'],
    'time is up: the whole window',
  );
  t.deepEqual(texts(h.say(ack(6), port)), ['DATA 7 512', 'DATA 8 512', 'DATA 9 512', 'DATA 10 512']);
});

for (const mode of ['octet', 'netascii']) {
  test(`RFC 7440: ${mode}, a third of the messages lost, read at once or later: the file arrives`, (t) => {
    for (const later of [false, true]) {
      const give = Buffer.from(Array.from({ length: 3000 }, (_, i) => `line ${i}\n`).join(''));
      const want = mode === 'octet' ? give : Buffer.from(give.toString().replaceAll('\n', '\r\n'));
      const h = harness({ f: give }, { later });
      let got = Buffer.alloc(0);
      let next = 1;
      let seen = 0;
      let port = 0;
      const ask = rrq('f', mode, 'windowsize', '7', 'blksize', '400');
      h.server.handle(GUEST, 69, ask, 0, ask.length);
      for (let turn = 0; turn < 2000 && (turn === 0 || h.server.size > 0); turn++) {
        h.run();
        let heard = false;
        for (const m of h.take()) {
          port = m.port;
          if ((Math.imul(++seen, 0x9e3779b1) >>> 16) % 3 === 0) continue;
          heard = true;
          if (m.bytes[1] !== 3 || tftp.block(m.bytes, 0) !== next) continue;
          got = Buffer.concat([got, m.bytes.subarray(4)]);
          next++;
        }
        if (heard) h.server.handle(GUEST, port, ack(next - 1), 0, 4);
        else h.clock.advance(1000);
      }
      t.is(h.server.size, 0);
      t.true(got.equals(want), `${got.length} of ${want.length} bytes`);
    }
  });
}

// netascii.

const ascii: [string, string][] = [
  ['one\ntwo\n', 'one\r\ntwo\r\n'],
  ['a\rb', 'a\r\0b'],
  ['a\r\nb', 'a\r\0\r\nb'],
  [`${'x'.repeat(511)}\n`, `${'x'.repeat(511)}\r\n`],
  [`${'x'.repeat(510)}\n`, `${'x'.repeat(510)}\r\n`],
  ['\n'.repeat(5000), '\r\n'.repeat(5000)],
  ['', ''],
];
for (const [i, [give, want]] of ascii.entries()) {
  test(`netascii translates line ends, case ${i}`, (t) => {
    const h = harness({ f: Buffer.from(give) });
    t.is(Buffer.from(h.fetch(rrq('f', 'netascii'))).toString(), want);
    t.deepEqual(texts(h.say(rrq('f', 'NetASCII', 'tsize', '0', 'blksize', '512'))), ['OACK blksize 512']);
  });
}

// Loss and time.

test('what is not acknowledged is repeated after 1, 2, 4, 5, 5 s, and given up after 30 s', (t) => {
  const h = harness({ f: pattern(1000) });
  const [first] = h.say(rrq('f'));
  const times: number[] = [];
  for (let s = 1; s <= 40; s++) {
    h.clock.advance(1000);
    for (const m of h.take()) {
      t.is(m.text, 'DATA 1 512');
      t.is(m.port, first!.port);
      times.push(s);
    }
  }
  t.deepEqual(times, [1, 3, 7, 12, 17, 22, 27]);
  t.is(h.server.size, 0);
  t.deepEqual(h.counts, { open: 1, closed: 1 });
});

test('the timeout option sets the pace', (t) => {
  const h = harness({ f: pattern(1000) });
  const [oack] = h.say(rrq('f', 'octet', 'timeout', '2'));
  h.say(ack(0), oack!.port);
  const times: number[] = [];
  for (let s = 1; s <= 8; s++) {
    h.clock.advance(1000);
    if (h.take().length > 0) times.push(s);
  }
  t.deepEqual(times, [2, 4, 6, 8]);
});

test('an acknowledgment of something else is ignored: no sorcerer’s apprentice (RFC 1123 4.2.3.1)', (t) => {
  const h = harness({ f: pattern(2000) });
  const [first] = h.say(rrq('f'));
  t.is(h.say(ack(1), first!.port)[0]?.text, 'DATA 2 512');
  for (const n of [0, 1, 1, 3, 65_535]) t.deepEqual(h.say(ack(n), first!.port), []);
  t.is(h.say(ack(2), first!.port)[0]?.text, 'DATA 3 512');
});

test('progress starts the 30 s anew', (t) => {
  const h = harness({ f: pattern(512 * 20) });
  const [first] = h.say(rrq('f'));
  for (let n = 1; n < 10; n++) {
    h.clock.advance(25_000);
    h.take();
    t.is(h.say(ack(n), first!.port)[0]?.text, `DATA ${n + 1} 512`);
  }
});

test('a repeated request is answered again; another one from the same port is another transfer', (t) => {
  const h = harness({ f: pattern(1000), g: pattern(3) });
  const [first] = h.say(rrq('f'));
  const [same] = h.say(rrq('f'));
  t.deepEqual([same?.text, same?.port], ['DATA 1 512', first!.port]);
  const [other] = h.say(rrq('g'));
  t.is(other?.text, 'DATA 1 3');
  t.is(h.server.size, 1);
  h.say(ack(1), other!.port);
  const [f] = h.say(rrq('f'));
  h.say(ack(1), f!.port);
  t.is(h.say(rrq('f'))[0]?.text, 'DATA 1 512', 'the first was under way');
  t.is(h.server.size, 1);
  t.is(h.counts.open - h.counts.closed, 1);
});

// Errors.

const refusals: { name: string; give: Uint8Array; want: string }[] = [
  { name: 'a file that is not there', give: rrq('nothing'), want: 'ERROR 1 no such file' },
  { name: 'a file that is not served', give: rrq('secret'), want: 'ERROR 2 access violation' },
  { name: 'writing', give: request(2, 'f', 'octet'), want: 'ERROR 2 this server is read-only' },
  { name: 'mode mail', give: rrq('f', 'mail'), want: 'ERROR 4 unknown mode' },
  { name: 'no mode', give: request(1, 'f'), want: 'ERROR 4 illegal operation' },
  { name: 'no end of the name', give: Uint8Array.of(0, 1, 0x66, 0x66), want: 'ERROR 4 illegal operation' },
  { name: 'DATA to port 69', give: Uint8Array.of(0, 3, 0, 1), want: 'ERROR 4 illegal operation' },
  { name: 'opcode 9', give: Uint8Array.of(0, 9, 0, 1), want: 'ERROR 4 illegal operation' },
  { name: '1025 bytes', give: rrq('f'.repeat(1017)), want: 'ERROR 4 illegal operation' },
  {
    name: 'too many options',
    give: rrq('f', 'octet', ...Array.from({ length: 34 }, () => 'x')),
    want: 'ERROR 4 illegal operation',
  },
];
for (const { name, give, want } of refusals) {
  test(`refused: ${name}`, (t) => {
    const h = harness({ f: pattern(10), secret: 'forbidden' });
    const [m] = h.say(give);
    t.is(m?.text, want);
    t.is(h.server.size, 0);
  });
}

test('errors and short messages to port 69 are not answered', (t) => {
  const h = harness();
  t.deepEqual(h.say(Uint8Array.of(0, 5, 0, 1, 0x78, 0)), []);
  for (const len of [0, 1, 2, 3]) t.deepEqual(h.say(new Uint8Array(len)), []);
  t.is(h.drops('TftpMalformed'), 4);
});

test('somebody else at the port of a transfer: error 5, and the transfer goes on (RFC 1350 4)', (t) => {
  const h = harness({ f: pattern(1000) });
  const [first] = h.say(rrq('f'));
  t.deepEqual(texts(h.say(ack(1), first!.port, OTHER)), ['ERROR 5 unknown transfer id']);
  t.deepEqual(h.say(Uint8Array.of(0, 5, 0, 5, 0), first!.port, OTHER), [], 'an error is not answered');
  t.is(h.say(ack(1), first!.port)[0]?.text, 'DATA 2 488');
  t.throws(() => h.say(ack(1), 50_000), { message: /not the server's/ });
});

test('an unknown operation within a transfer ends it with error 4', (t) => {
  const h = harness({ f: pattern(1000) });
  const [first] = h.say(rrq('f'));
  t.deepEqual(texts(h.say(Uint8Array.of(0, 3, 0, 1), first!.port)), ['ERROR 4 illegal operation']);
  t.is(h.server.size, 0);
});

test('a file that cannot be read any more ends the transfer with an error', (t) => {
  const h = harness({ f: pattern(1000) });
  const [first] = h.say(rrq('f'));
  h.break();
  t.deepEqual(texts(h.say(ack(1), first!.port)), ['ERROR 0 the file cannot be read']);
  t.deepEqual(h.counts, { open: 1, closed: 1 });
});

test('a transfer that ended before its file was open or read closes it', (t) => {
  const h = harness({ f: pattern(1000) }, { later: true });
  h.say(rrq('f'));
  h.clock.advance(30_000);
  t.is(h.server.size, 0);
  h.run();
  t.deepEqual(h.counts, { open: 1, closed: 1 });
  h.say(rrq('f'));
  h.server.close();
  h.run();
  t.deepEqual(h.counts, { open: 2, closed: 2 });
  t.deepEqual(h.take(), []);
});

test('limits: transfers of one guest, and in all', (t) => {
  const h = harness({ f: pattern(1000) });
  const from = (guest: number, port: number): Endpoint => parseEndpoint(`10.0.2.${guest}`, port);
  for (let i = 0; i < TRANSFERS_PER_GUEST; i++) t.is(h.say(rrq('f'), 69, from(15, 1000 + i))[0]?.text, 'DATA 1 512');
  t.is(h.say(rrq('f'), 69, from(15, 999))[0]?.text, 'ERROR 0 too many transfers');
  for (let i = TRANSFERS_PER_GUEST; i < TRANSFERS_MAX; i++)
    t.is(h.say(rrq('f'), 69, from(16, 1000 + i))[0]?.text, 'DATA 1 512');
  t.is(h.say(rrq('f'), 69, from(17, 1))[0]?.text, 'ERROR 0 too many transfers');
  t.is(h.drops('TftpOverload'), 2);
  h.clock.advance(31_000);
  t.is(h.server.size, 0);
  t.is(h.counts.open, h.counts.closed);
});

test('any bytes from anybody: no exception, no transfer that does not end, no file left open', (t) => {
  const op = fc.constantFrom(1, 1, 1, 2, 3, 4, 4, 5, 6, 9);
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .constantFrom(
        'f\0octet\0',
        'f\0octet\0blksize\x001\0',
        'f\0netascii\0tsize\x000\0',
        'f\0octet\0windowsize\x009\0',
      )
      .map((s) => Buffer.from(s)),
    fc.nat(3).map((n) => Uint8Array.of(0, n)),
  );
  const step = fc.tuple(op, body, fc.nat(3), fc.nat(1), fc.nat(3000));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), (steps, later) => {
      const h = harness({ f: pattern(2000) }, { later });
      for (const [o, b, port, who, ms] of steps) {
        const message = Uint8Array.from([0, o, ...b]);
        h.server.handle(who === 0 ? GUEST : OTHER, port === 0 ? 69 : 49_151 + port, message, 0, message.length);
        if (ms % 2 === 0) h.run();
        h.clock.advance(ms);
        tftp.summary(message, 0, message.length);
      }
      h.run();
      h.clock.advance(100_000);
      h.run();
      t.is(h.server.size, 0);
      t.is(h.counts.open, h.counts.closed);
    }),
    { numRuns: 200 },
  );
});
