import test from 'ava';
import { type Batch, MAX_BATCH, type Poll } from '../../src/native/native.ts';
import { api, pair } from './support.ts';

// Calls with arguments of any kind, as a caller without types could make them.
type Loose = Record<string, (...args: unknown[]) => unknown>;
const loose = api as unknown as Loose;

const BATCH = Symbol('a batch of 4 frames in 1000 bytes');
const FD = Symbol('a socket');
const POLL = Symbol('a watch');
const TCP = Symbol('a listening TCP socket');
const u32 = 2 ** 32;

const badTypes: [string, ...unknown[]][] = [
  ['socket'],
  ['socket', '1', 2, 0],
  ['socket', 1n, 2, 0],
  ['bindUnix', FD],
  ['bindUnix', FD, 7],
  ['bindUnix', FD, Buffer.from('/x')],
  ['connectUnix', null, '/x'],
  ['bindInet', FD, '127.0.0.1', 1],
  ['bindInet', FD, [127, 0, 0, 1], 1],
  ['bindInet', FD, new Uint16Array(4), 1],
  ['bindInet', FD, new DataView(new ArrayBuffer(4)), 1],
  ['connectInet', FD, new Uint8Array(4), '80'],
  ['setsockopt', FD, 1, 7, '1'],
  ['getsockopt', FD, 1],
  ['localPort', {}],
  ['peerCred'],
  ['flock', undefined],
  ['tap', 3, true],
  ['tap', 'x', 1],
  ['tap', 'x'],
  ['close', '3'],
  ['exec', 'true', new Int32Array(0)],
  ['exec', ['true', 1], new Int32Array(0)],
  ['exec', ['true'], [0]],
  ['newBatch', new ArrayBuffer(10), 1],
  ['newBatch', new Uint16Array(10), 1],
  ['newBatch', new Uint8ClampedArray(10), 1],
  ['newBatch', 'memory', 1],
  ['newBatch', undefined, 1],
  ['newBatch', new Uint8Array(10), '1'],
  ['newBatch', new Uint8Array(10)],
  ['recv', FD, 0, 0, 10, 1],
  ['recv', FD, null, 0, 10, 1],
  ['recv', FD, { capacity: 4, offs: new Uint32Array(4), lens: new Uint32Array(4) }, 0, 10, 1],
  ['recv', FD, POLL, 0, 10, 1],
  ['recv', '0', BATCH, 0, 10, 1],
  ['recv', FD, BATCH, '0', 10, 1],
  ['recv', FD, BATCH, 0, null, 1],
  ['recv', FD, BATCH, 0, 10],
  ['readFrames', FD, {}, 0, 10, 1],
  ['send', FD, {}, 0, 1],
  ['send', FD, BATCH, 0, true],
  ['writeFrames', FD, BATCH, [], 1],
  ['writeStream', FD, BATCH, 0],
  ['sum', {}, 0, 1, 0],
  ['sum', BATCH, '0', 1, 0],
  ['sum', BATCH, 0, 1],
  ['poll', FD, 1],
  ['poll', FD, 1, {}],
  ['poll', FD, '1', () => {}],
  ['pollModify', {}, 1],
  ['pollModify', 0, 1],
  ['pollModify', BATCH, 1],
  ['pollModify', POLL, '1'],
  ['pollForward', {}, null, 0, BATCH, 0, 10, 1, 10],
  ['pollForward', POLL, {}, 0, BATCH, 0, 10, 1, 10],
  ['pollForward', POLL, null, '0', BATCH, 0, 10, 1, 10],
  ['pollForward', POLL, null, 0, {}, 0, 10, 1, 10],
  ['pollForward', POLL, null, 0, BATCH, 0, 10, 1],
  ['pollClose', {}],
  ['pollClose', null],
  ['pollUnref', {}],
  ['pollRef', {}],
  ['tcpConnect'],
  ['tcpConnect', new Uint32Array(8)],
  ['tcpListen', [0, 0, 0, 0, 0, 0, 0, 0], 1],
  ['tcpListen', new Int32Array(8), '1'],
  ['tcpOpened', 'x', 0],
  ['tcpOpened', TCP, 'x'],
  ['tcpAccept', TCP, new Uint32Array(8)],
  ['tcpName', TCP, {}],
  ['pollReactor', null],
  ['udpOpen', new Uint32Array(8), 1],
  ['udpOpen', new Int32Array(8), '1'],
  ['tcpRead', TCP, 'pieces', 1, 0, 1],
  ['tcpRead', TCP, [new Uint16Array(4)], 1, 0, 1],
  ['tcpRead', TCP, [], 1, 0, 1],
  ['tcpRead', TCP, [new Uint8Array(4)], '1', 0, 1],
  ['tcpWrite', TCP, [new Uint8Array(4), null], 2, 0, 5],
  ['reactorClose', TCP, 1],
];

const badRanges: [string, ...unknown[]][] = [
  ['exec', [], new Int32Array(0)],
  ['exec', ['no\0program'], new Int32Array(0)],
  ['socket', -1, 2, 0],
  ['socket', 1.5, 2, 0],
  ['socket', 1, u32 + 2, 0],
  ['close', 0.5],
  ['close', Number.NaN],
  ['close', u32 + 3],
  ['bindInet', FD, new Uint8Array(5), 1],
  ['bindInet', FD, new Uint8Array(0), 1],
  ['connectInet', FD, new Uint8Array(4), 65_536],
  ['connectInet', FD, new Uint8Array(4), -1],
  ['setsockopt', FD, 1, 7, 2 ** 31],
  ['newBatch', new Uint8Array(10), 0],
  ['newBatch', new Uint8Array(10), MAX_BATCH + 1],
  ['newBatch', new Uint8Array(10), 1.5],
  ['newBatch', new Uint8Array(10), Number.NaN],
  ['newBatch', new Uint8Array(0), 1],
  ['recv', FD, BATCH, 0, 251, 4],
  ['recv', FD, BATCH, 1, 250, 4],
  ['recv', FD, BATCH, 0, 10, 5],
  ['recv', FD, BATCH, 0, 10, -1],
  ['recv', FD, BATCH, 0, 0, 1],
  ['recv', FD, BATCH, -1, 10, 1],
  ['recv', FD, BATCH, 0.5, 10, 1],
  ['recv', FD, BATCH, 1001, 1, 0],
  ['recv', FD, BATCH, u32 - 1, u32 - 1, 4],
  ['recv', FD, BATCH, Number.POSITIVE_INFINITY, 1, 1],
  ['recv', FD, BATCH, Number.NaN, 1, 1],
  ['recv', u32, BATCH, 0, 1, 1],
  ['readFrames', FD, BATCH, 0, 1001, 1],
  ['send', FD, BATCH, 0, 5],
  ['send', FD, BATCH, 4, 1],
  ['send', FD, BATCH, 3, 2],
  ['send', FD, BATCH, -1, 1],
  ['send', FD, BATCH, 5, 0],
  ['send', FD, BATCH, 0, -1],
  ['send', FD, BATCH, 0, u32 + 1],
  ['writeFrames', FD, BATCH, 2, 3],
  ['writeStream', FD, BATCH, 0, 5],
  ['sum', BATCH, 0, 1001, 0],
  ['sum', BATCH, 1001, 0, 0],
  ['sum', BATCH, 999, 2, 0],
  ['sum', BATCH, -1, 1, 0],
  ['sum', BATCH, u32 - 1, u32 - 1, 0],
  ['sum', BATCH, 0, 1, -1],
  ['sum', BATCH, 0, 1, 0.5],
  ['poll', FD, 8, () => {}],
  ['poll', FD, -1, () => {}],
  ['pollModify', POLL, 8],
  ['pollForward', POLL, null, -1, BATCH, 0, 10, 1, 10],
  ['pollForward', POLL, null, 0, BATCH, -1, 10, 1, 10],
  ['pollForward', POLL, null, 0, BATCH, 0, 0, 1, 10],
  ['pollForward', POLL, null, 0, BATCH, 0, 10, 0, 10],
  ['tcpConnect', new Int32Array(6)],
  ['tcpListen', new Int32Array(8), -1],
  ['tcpAccept', TCP, new Int32Array(7)],
  ['tcpName', TCP, new Int32Array(0)],
  ['udpOpen', new Int32Array(6), 1],
  ['udpOpen', new Int32Array(8), -1],
  // Descriptors of somebody else.
  ['tcpOpened', FD, 0],
  ['tcpOpened', TCP, -1],
  ['tcpAccept', FD, new Int32Array(8)],
  ['tcpName', FD, new Int32Array(8)],
  ['reactorRearm', FD],
  ['reactorRearm', -1],
  ['reactorRearm', 2 ** 31 - 1],
  ['tcpRead', FD, [new Uint8Array(4)], 1, 0, 4],
  ['tcpWrite', FD, [new Uint8Array(4)], 1, 0, 4],
  ['tcpEnd', FD],
  ['reactorClose', FD, true],
  ['tcpRead', TCP, [new Uint8Array(4)], 1, 0, 5],
  ['tcpRead', TCP, [new Uint8Array(4)], 1, 4, 1],
  ['tcpRead', TCP, [new Uint8Array(4)], 1, 5, 1],
  ['tcpRead', TCP, [new Uint8Array(4)], 1, 0, 0],
  ['tcpRead', TCP, [new Uint8Array(4)], 0, 0, 1],
  ['tcpRead', TCP, [new Uint8Array(4)], 65, 0, 1],
  ['tcpRead', TCP, [new Uint8Array(4), new Uint8Array(4)], 2, 4, 5],
  ['tcpWrite', TCP, [new Uint8Array(4), new Uint8Array(4)], 2, 0, 9],
  ['tcpWrite', TCP, [new Uint8Array(4)], 1, -1, 1],
];

function show(value: unknown): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'symbol') return value.description!;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer)
    return `${value.constructor.name}(${value.byteLength})`;
  if (typeof value === 'number' || value === undefined) return String(value);
  return JSON.stringify(value) ?? String(value);
}

const refused = (instanceOf: ErrorConstructor, cases: [string, ...unknown[]][]): void => {
  cases.forEach(([name, ...args], i) => {
    test(`${instanceOf.name} ${i}: ${name}(${args.map(show).join(', ')})`, (t) => {
      const { a } = pair(t);
      const batch: Batch = api.newBatch(new Uint8Array(1000), 4);
      const poll: Poll = api.poll(a, 0, () => {});
      t.teardown(() => api.pollClose(poll));
      const real = new Map<unknown, unknown>([
        [BATCH, batch],
        [FD, a],
        [POLL, poll],
      ]);
      if (args.includes(TCP)) {
        const listener = api.tcpListen(Int32Array.of(0, 0, 0xffff, 0x7f000001, 0, 0, 0, 0), 1);
        t.teardown(() => api.reactorClose(listener, false));
        real.set(TCP, listener);
      }
      t.throws(() => loose[name]!(...args.map((arg) => real.get(arg) ?? arg)), { instanceOf });
    });
  });
};

refused(TypeError, badTypes);
refused(RangeError, badRanges);

for (const name of ['send', 'writeFrames', 'writeStream'] as const) {
  for (const [off, len] of [
    [0, 1001],
    [1000, 1],
    [1001, 0],
    [u32 - 1, 2],
    [1, u32 - 1],
    [u32 - 1, u32 - 1],
  ] as const) {
    test(`RangeError: ${name} of a frame at ${off} with length ${len} in 1000 bytes, and nothing is sent`, (t) => {
      const { a, b } = pair(t);
      const batch = api.newBatch(new Uint8Array(1000), 4);
      batch.lens.fill(1);
      batch.offs[2] = off;
      batch.lens[2] = len;
      t.throws(() => api[name](a, batch, 0, 4), { instanceOf: RangeError });
      t.is(api.recv(b, batch, 0, 10, 4), 0);
      t.is(api[name](a, batch, 0, 2), 2);
    });
  }
}

test('a TCP socket that was closed is refused, so is one whose piece of memory goes while it is looked at', (t) => {
  const listener = api.tcpListen(Int32Array.of(0, 0, 0xffff, 0x7f000001, 0, 0, 0, 0), 1);
  const moved = new Uint8Array(4096);
  const pieces = [moved, moved];
  Object.defineProperty(pieces, 1, { get: () => structuredClone(new Uint8Array(8), { transfer: [moved.buffer] }) });
  t.throws(() => api.tcpRead(listener, pieces, 2, 0, 4096 + 8), { instanceOf: RangeError });
  t.is(api.reactorClose(listener, false), 0);
  t.throws(() => api.reactorClose(listener, false), { instanceOf: RangeError });
  t.throws(() => api.reactorRearm(listener), { instanceOf: RangeError });
});

test('the last byte of the memory and a count of nothing are allowed', (t) => {
  const { a, b } = pair(t);
  const batch = api.newBatch(new Uint8Array(1000), 4);
  batch.offs.set([999, 1000]);
  batch.lens.set([1, 0]);
  t.is(api.send(a, batch, 0, 2), 2);
  t.is(api.recv(b, batch, 0, 250, 4), 2);
  t.is(api.recv(b, batch, 999, 1, 1), 0);
  t.is(api.recv(b, batch, 1000, 1, 0), 0);
  t.is(api.send(a, batch, 4, 0), 0);
  t.is(api.writeFrames(a, batch, 4, 0), 0);
  t.is(api.writeStream(a, batch, 4, 0), 0);
  t.is(api.sum(batch, 1000, 0, 0), 0);
});

test('exec that fails returns, and the process goes on', (t) => {
  t.is(api.exec(['/no/such/program'], Int32Array.of(77)), -2);
  t.is(api.exec(['/dev/null'], new Int32Array(0)), -13);
});
