// Datagrams with addresses, and the error queue, at the level of the addon.
import { constants } from 'node:os';
import test from 'ava';
import {
  ADDRESS_CELLS,
  type AddressedBatch,
  AF_INET,
  Cell,
  DISCONNECT,
  ERROR_CELLS,
  ErrorCell,
  IP_RECVERR,
  IPPROTO_IP,
  ORIGIN_ICMP,
  READABLE,
  SOCK_DGRAM,
} from '../../src/native/native.ts';
import { api, close, closing, wakeUp } from './support.ts';

const LOOPBACK = Uint8Array.of(127, 0, 0, 1);
const { ECONNREFUSED, EBADF, ENODEV } = constants.errno;

function address(batch: AddressedBatch, i: number, w3: number, port: number): void {
  batch.addresses.set([0, 0, 0xffff, w3, port, 0, 0], i * ADDRESS_CELLS);
}

test('a batch of datagrams to several sockets, each with its sender', (t) => {
  const [a, b, c] = [0, 1, 2].map(() => {
    const fd = closing(t, api.socket(AF_INET, SOCK_DGRAM, 0));
    t.is(api.bindInet(fd, LOOPBACK, 0), 0);
    return fd;
  }) as [number, number, number];
  const memory = new Uint8Array(4 * 100);
  const out = api.newAddressedBatch(memory, 4);
  [b, c, b, c].forEach((fd, i) => {
    memory[i * 100] = i;
    out.offs[i] = i * 100;
    out.lens[i] = 10 + i;
    address(out, i, 0x7f000001, api.localPort(fd));
  });
  t.is(api.sendTo(a, out, 1, 3), 3);
  t.is(api.sendTo(a, out, 0, 1), 1);
  const into = new Uint8Array(8 * 50);
  const got = api.newAddressedBatch(into, 8);
  t.is(api.recvFrom(b, got, 0, 50, 8), 2);
  t.deepEqual([into[0], into[50]], [2, 0]);
  t.deepEqual([...got.lens.subarray(0, 2)], [12, 10]);
  for (const i of [0, 1]) {
    t.deepEqual(
      [...got.addresses.subarray(i * ADDRESS_CELLS, i * ADDRESS_CELLS + 7)],
      [0, 0, 0xffff, 0x7f000001, api.localPort(a), 0, -1],
    );
  }
  t.is(api.recvFrom(b, got, 0, 50, 8), 0);
  t.is(api.recv(c, got, 0, 50, 8), 2, 'and recv takes an addressed batch too');
});

test('the error queue: errno, type, code, destination and the first bytes', async (t) => {
  const fd = closing(t, api.socket(AF_INET, SOCK_DGRAM, 0));
  const gone = closing(t, api.socket(AF_INET, SOCK_DGRAM, 0));
  t.is(api.bindInet(gone, LOOPBACK, 0), 0);
  const port = api.localPort(gone);
  close(gone);
  t.is(api.setsockopt(fd, IPPROTO_IP, IP_RECVERR, 1), 0);
  const memory = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9);
  const out = api.newAddressedBatch(memory, 1);
  out.lens[0] = 9;
  address(out, 0, 0x7f000001, port);
  const record = new Int32Array(ERROR_CELLS);
  t.is(api.recvError(fd, record), 0);
  t.is(api.sendTo(fd, out, 0, 1), 1);
  t.is(await wakeUp(fd, READABLE), READABLE | DISCONNECT);
  t.is(api.recvError(fd, record), 1);
  t.is(record[ErrorCell.Errno], ECONNREFUSED);
  t.deepEqual([record[ErrorCell.Origin], record[ErrorCell.Type], record[ErrorCell.Code]], [ORIGIN_ICMP, 3, 3]);
  t.is(record[ErrorCell.Offender + 3], 0x7f000001);
  t.deepEqual([record[ErrorCell.To + 2], record[ErrorCell.To + 3], record[ErrorCell.Port]], [0xffff, 0x7f000001, port]);
  t.deepEqual([record[ErrorCell.Len], record[ErrorCell.Data], record[ErrorCell.Data + 1]], [8, 0x01020304, 0x05060708]);
  t.is(api.recvError(fd, record), 0);
});

test('arguments are checked', (t) => {
  const plain = api.newBatch(new Uint8Array(100), 1) as AddressedBatch;
  const batch = api.newAddressedBatch(new Uint8Array(100), 1);
  t.throws(() => api.recvFrom(0, plain, 0, 100, 1), { instanceOf: RangeError });
  t.throws(() => api.sendTo(0, plain, 0, 1), { instanceOf: RangeError });
  t.throws(() => api.recvFrom(0, batch, 1, 100, 1), { instanceOf: RangeError });
  batch.lens[0] = 101;
  t.throws(() => api.sendTo(0, batch, 0, 1), { instanceOf: RangeError });
  t.throws(() => api.recvError(0, new Int32Array(ERROR_CELLS - 1)), { instanceOf: RangeError });
  t.throws(() => api.recvError(0, new Uint32Array(ERROR_CELLS) as unknown as Int32Array), { instanceOf: TypeError });
  batch.lens[0] = 1;
  t.is(api.recvFrom(-1, batch, 0, 100, 1), -EBADF);
  t.is(api.sendTo(-1, batch, 0, 1), -EBADF);
  t.is(api.recvError(-1, new Int32Array(ERROR_CELLS)), -EBADF);
  t.true(api.ifIndex('lo') > 0);
  t.is(api.ifIndex('nosuchif0'), -ENODEV);
  t.true(api.ifIndex('x'.repeat(40)) < 0);
  t.is(batch.addresses[Cell.W0], 0);
});
