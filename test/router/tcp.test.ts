import test from 'ava';
import { parseEndpoint, parseIpv4 } from '../../src/core/address.ts';
import * as ipv4 from '../../src/wire/ipv4.ts';
import * as tcp from '../../src/wire/tcp.ts';
import { tcpFrame } from '../support/guest-frames.ts';
import { hex, toHex } from '../support/hex.ts';
import { GuestTcp, RouterHarness } from '../support/router-harness.ts';

const HELLO = hex('68656c6c6f');

/** A connection from the guest to 192.0.2.1:80 that the host has accepted. */
function established(): { h: RouterHarness; g: GuestTcp } {
  const h = new RouterHarness();
  const g = new GuestTcp(h, '192.0.2.1', 80);
  g.send('S');
  h.host.lastTcp.connect();
  g.poll();
  g.send('A');
  g.takeFlags();
  return { h, g };
}

test('SYN-ACK only after the host connected', (t) => {
  const h = new RouterHarness();
  const g = new GuestTcp(h, '192.0.2.1', 80);
  g.send('S');
  t.deepEqual(g.takeFlags(), []);
  t.is(String(h.host.lastTcp.remote), '192.0.2.1:80');
  h.host.lastTcp.connect();
  g.poll();
  t.deepEqual(g.takeFlags(), ['SA']);
  t.is(g.ack !== 0, true);
});

test('what the host brings is flushed once, by one deferred call', (t) => {
  const { h } = established();
  t.is(h.settle(), 0);
  h.host.lastTcp.data(HELLO);
  t.is(h.settle(), 1);
  t.is(h.link.take().length, 1);
});

test('a repeated SYN while the host connects opens nothing more', (t) => {
  const h = new RouterHarness();
  const syn = tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, seq: 5, flags: 'S' });
  h.send(syn);
  h.send(syn);
  t.is(h.host.tcp.length, 1);
});

test('refused: RST,ACK at once, with ACK = SEG.SEQ + 1 (RFC 9293 3.10.7.1)', (t) => {
  const h = new RouterHarness();
  h.send(tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, seq: 1000, flags: 'S' }));
  h.host.lastTcp.fail('ECONNREFUSED');
  h.settle();
  const [f] = h.link.take();
  t.is(tcp.flags(f!, 34), tcp.RST | tcp.ACK);
  t.is(tcp.ack(f!, 34), 1001);
  t.is(h.router.tcp.count, 0);
  t.is(h.router.tcpNat.size, 0);
});

for (const [code, icmp] of [
  ['EHOSTUNREACH', '0301'],
  ['ETIMEDOUT', '0301'],
  ['ENETUNREACH', '0300'],
  ['EACCES', '030d'],
] as const) {
  test(`connect fails with ${code}: ICMP ${icmp} that quotes the SYN's ports and sequence`, (t) => {
    const h = new RouterHarness();
    h.send(tcpFrame({ dst: '192.0.2.1', sport: 4321, dport: 80, seq: 0x01020304, flags: 'S' }));
    h.host.lastTcp.fail(code);
    h.settle();
    const [f] = h.link.take();
    t.is(toHex(f!.slice(34, 36)), icmp);
    t.is(ipv4.dst(f!, 42), parseIpv4('192.0.2.1'));
    t.is(toHex(f!.slice(62, 70)), '10e1005001020304');
    t.is(h.router.tcp.count, 0);
  });
}

test('the host has no descriptors left: silence, so that the guest tries again, and a line in the log', (t) => {
  const h = new RouterHarness();
  const syn = tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, flags: 'S' });
  h.send(syn);
  h.host.lastTcp.fail('EMFILE');
  h.settle();
  t.deepEqual(h.sent(), []);
  t.regex(h.log.join(), /EMFILE/);
  h.send(syn);
  t.is(h.host.tcp.length, 2);
});

test('RST of the guest while the host connects gives up the connect', (t) => {
  const h = new RouterHarness();
  h.send(tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, seq: 9, flags: 'S' }));
  h.send(tcpFrame({ dst: '192.0.2.1', sport: 1, dport: 80, seq: 10, flags: 'R' }));
  t.true(h.host.lastTcp.wasReset);
  t.is(h.router.tcpNat.size, 0);
});

test('data both ways; a batch of segments is one flush of the host socket', (t) => {
  const { h, g } = established();
  const s = h.host.lastTcp;
  const flushes = s.flushes;
  const segments = [0, 1, 2].map((i) =>
    tcpFrame({ dst: '192.0.2.1', sport: 40_000, dport: 80, seq: g.seq + i * 5, ack: g.ack, flags: 'AP', data: HELLO }),
  );
  g.seq += 15;
  const answers = h.send(...segments);
  t.is(toHex(s.written()), toHex(HELLO).repeat(3));
  t.is(s.flushes, flushes + 1);
  t.is(answers.length, 1, 'one ACK for the batch');
  s.data(hex('0102'));
  s.data(hex('0304'));
  g.poll();
  t.deepEqual(g.received, [1, 2, 3, 4]);
});

test('half close by the guest: the host can still send', (t) => {
  const { h, g } = established();
  const s = h.host.lastTcp;
  g.send('AF');
  t.true(s.ended);
  s.data(HELLO);
  g.poll();
  t.deepEqual(g.received, [...HELLO]);
  g.send('A');
  s.eof();
  g.poll();
  t.true(g.takeFlags().some((f) => f.includes('F')));
  g.send('A');
  t.is(h.router.tcp.count, 0);
  t.is(h.router.tcpNat.size, 0);
});

test('half close by the host: the guest can still send', (t) => {
  const { h, g } = established();
  const s = h.host.lastTcp;
  s.eof();
  g.poll();
  t.true(g.takeFlags().some((f) => f.includes('F')));
  g.send('A');
  g.send('AP', HELLO);
  t.is(toHex(s.written()), toHex(HELLO));
  t.false(s.ended);
  g.send('AF');
  t.true(s.ended);
  s.pump();
  t.is(s.state, 'dead');
  t.is(h.router.tcpNat.size, 0);
});

test('RST of the guest at the exact sequence becomes RST at the host', (t) => {
  const { h, g } = established();
  h.send(tcpFrame({ dst: '192.0.2.1', sport: 40_000, dport: 80, seq: g.seq, flags: 'R' }));
  t.true(h.host.lastTcp.wasReset);
  t.is(h.router.tcpNat.size, 0);
});

for (const code of ['ECONNRESET', 'EPIPE', 'ETIMEDOUT']) {
  test(`${code} at the host becomes RST to the guest, not FIN`, (t) => {
    const { h, g } = established();
    h.host.lastTcp.fail(code);
    g.poll();
    const flags = g.takeFlags();
    t.true(flags.length === 1 && flags[0]!.includes('R'), flags.join());
    t.is(h.router.tcpNat.size, 0);
  });
}

test('what is read straight into the send buffer arrives in order; a full buffer pauses the host socket', (t) => {
  const h = new RouterHarness();
  const g = new GuestTcp(h, '192.0.2.1', 80);
  g.send('S');
  const host = h.host.lastTcp;
  host.intoMemory = true;
  host.connect();
  g.poll();
  g.send('A');
  const bytes = Uint8Array.from({ length: 700_000 }, (_, i) => i * 7 + (i >> 8));
  host.data(bytes);
  t.true(host.paused, 'the send buffer is full');
  t.true(h.router.tcp.memoryUsed <= 300_000);
  for (let i = 0; i < 1000 && g.received.length < bytes.length; i++) {
    g.poll();
    g.send('A');
    host.pump();
  }
  t.true(Buffer.from(g.received).equals(bytes));
  host.eof();
  g.poll();
  t.true(g.flags.at(-1)!.includes('F'));
});

for (const intoMemory of [false, true]) {
  const how = intoMemory ? 'lent' : 'copied to';
  test(`memory for all send buffers is used up (${how}): the host socket is paused, all arrives in the end`, (t) => {
    const h = new RouterHarness({ tcp: { memory: 64 << 10 } });
    const g = new GuestTcp(h, '192.0.2.1', 80);
    g.send('S');
    const host = h.host.lastTcp;
    host.intoMemory = intoMemory;
    host.connect();
    g.poll();
    g.send('A');
    const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => i * 13 + (i >> 8));
    for (let at = 0; at < bytes.length; at += 20_000) host.data(bytes.subarray(at, at + 20_000));
    t.true(host.paused);
    t.true(h.router.tcp.memoryUsed <= 64 << 10);
    for (let i = 0; i < 1000 && g.received.length < bytes.length; i++) {
      g.poll();
      g.send('A');
      host.pump();
    }
    t.true(Buffer.from(g.received).equals(bytes));
  });
}

test("a host that takes nothing shuts the guest's window; it opens again when the host drains", (t) => {
  const { h, g } = established();
  const s = h.host.lastTcp;
  s.stalled = true;
  const data = new Uint8Array(1460);
  let window = 1;
  let sent = 0;
  for (let i = 0; i < 400 && window > 0; i++) {
    const frames = h.send(
      tcpFrame({ dst: '192.0.2.1', sport: 40_000, dport: 80, seq: g.seq, ack: g.ack, flags: 'A', data }),
    );
    for (const f of frames) window = tcp.window(f, 34);
    g.seq += data.length;
    sent += data.length;
  }
  t.true(window < 1460, `window ${window}`);
  t.true(sent <= 320 << 10, `${sent} bytes taken`);
  s.stalled = false;
  s.drain();
  h.settle();
  const update = h.link.take().at(-1);
  t.true(tcp.window(update!, 34) >= 1460);
});

test('a guest that takes nothing pauses the host socket; memory is bounded; all arrives in order afterwards', (t) => {
  const { h, g } = established();
  const s = h.host.lastTcp;
  let offered = 0;
  while (!s.paused && offered < 4 << 20) {
    const chunk = new Uint8Array(65_536);
    for (let i = 0; i < chunk.length; i++) chunk[i] = (offered + i) % 251;
    s.data(chunk);
    offered += chunk.length;
  }
  t.true(s.paused);
  t.true(offered <= 640 << 10, `${offered} bytes taken`);
  s.eof();
  for (let i = 0; i < 2000 && !g.flags.some((f) => f.includes('F')); i++) {
    g.poll();
    g.send('A');
    s.pump();
    h.advance(5);
  }
  t.is(g.received.length, offered);
  t.true(g.received.every((b, i) => b === i % 251));
});

test('DNS over TCP at the DNS address', (t) => {
  const h = new RouterHarness();
  const g = new GuestTcp(h, '10.0.2.3', 53);
  g.send('S');
  t.deepEqual(g.takeFlags(), ['SA']);
  g.send('A');
  g.send('AP', hex('0016 1234 0100 0001 0000 0000 0000 04 74657374 00 0001 0001'));
  t.is(String(h.host.lastTcp.remote), '198.51.100.53:53');
});

test('other ports of the DNS address are refused', (t) => {
  const h = new RouterHarness();
  const g = new GuestTcp(h, '10.0.2.3', 80);
  g.send('S');
  t.deepEqual(g.takeFlags(), ['RA']);
});

test("forward: SYN to the guest from the client's own address, read only when the guest has answered", async (t) => {
  const h = new RouterHarness();
  const rule = {
    protocol: 'tcp',
    listen: parseEndpoint('0.0.0.0', 8022),
    guest: parseEndpoint('10.0.2.15', 22),
  } as const;
  await h.router.addForward(rule);
  const s = h.host.listeners[0]!.incoming(parseEndpoint('203.0.113.5', 9999));
  h.settle();
  const [syn] = h.link.take();
  t.is(ipv4.src(syn!, 14), parseIpv4('203.0.113.5'));
  t.deepEqual([tcp.srcPort(syn!, 34), tcp.dstPort(syn!, 34), tcp.flags(syn!, 34)], [9999, 22, tcp.SYN]);
  t.true(s.paused);
  const back = { dst: '203.0.113.5', sport: 22, dport: 9999 };
  h.send(tcpFrame({ ...back, seq: 7000, ack: tcp.seq(syn!, 34) + 1, flags: 'SA' }));
  t.false(s.paused);
  s.data(HELLO);
  h.settle();
  const data = h.link.take().at(-1)!;
  t.is(toHex(data.slice(34 + tcp.dataOffset(data, 34), 14 + ipv4.totalLen(data, 14))), toHex(HELLO));
  h.send(tcpFrame({ ...back, seq: 7001, ack: tcp.seq(syn!, 34) + 6, flags: 'AP', data: HELLO }));
  t.is(toHex(s.written()), toHex(HELLO));
});

test('forward: a guest that refuses resets the client, one that is silent does so after the handshake limit', async (t) => {
  const h = new RouterHarness();
  const rule = {
    protocol: 'tcp',
    listen: parseEndpoint('0.0.0.0', 8022),
    guest: parseEndpoint('10.0.2.15', 22),
  } as const;
  await h.router.addForward(rule);
  const s = h.host.listeners[0]!.incoming(parseEndpoint('127.0.0.1', 9999));
  h.settle();
  const [syn] = h.link.take();
  t.is(ipv4.src(syn!, 14), parseIpv4('10.0.2.2'), 'a loopback client appears as the gateway');
  const sport = tcp.srcPort(syn!, 34);
  h.send(tcpFrame({ dst: '10.0.2.2', sport: 22, dport: sport, seq: 0, ack: tcp.seq(syn!, 34) + 1, flags: 'RA' }));
  t.true(s.wasReset);
  const silent = h.host.listeners[0]!.incoming(parseEndpoint('127.0.0.1', 9998));
  h.advance(60_000);
  t.true(silent.wasReset);
  t.is(h.router.tcpNat.size, 0);
});

test('flows beyond the limit wait, and the log says so', (t) => {
  const h = new RouterHarness({ maxFlows: 3 });
  for (let i = 0; i < 5; i++) h.send(tcpFrame({ dst: '192.0.2.1', sport: 100 + i, dport: 80, flags: 'S' }));
  t.is(h.host.tcp.length, 3);
});

test('two guests with the same ports to the same server are two connections', (t) => {
  const h = new RouterHarness();
  h.introduce('10.0.2.16', '52:54:00:00:00:16');
  const a = { dst: '192.0.2.1', sport: 1, dport: 80, seq: 1, flags: 'S' };
  h.send(tcpFrame(a), tcpFrame({ ...a, src: '10.0.2.16', srcMac: '52:54:00:00:00:16' }));
  t.is(h.host.tcp.length, 2);
  for (const s of h.host.tcp) s.connect();
  h.settle();
  const answers = h.link.take();
  t.deepEqual(
    answers.map((f) => f[5]),
    [0x56, 0x16],
  );
});
