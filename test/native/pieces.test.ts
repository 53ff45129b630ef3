// Datagrams that the kernel cuts out of one piece (UDP_SEGMENT), and those that it hands over in one (UDP_GRO).
import test, { type ExecutionContext } from 'ava';
import { ADDRESS_CELLS, type AddressedBatch, AF_INET, AF_INET6, Cell, SOCK_DGRAM } from '../../src/native/native.ts';
import { api, closing } from './support.ts';

const LOOPBACKS = {
  IPv4: { family: AF_INET, cells: [0, 0, 0xffff, 0x7f000001], bytes: Uint8Array.of(127, 0, 0, 1) },
  IPv6: { family: AF_INET6, cells: [0, 0, 0, 1], bytes: Uint8Array.of(...new Array<number>(15).fill(0), 1) },
};
type Loopback = (typeof LOOPBACKS)['IPv4'];

/** A socket as the router has them. */
function own(t: ExecutionContext, { cells }: Loopback): { fd: number; port: number } {
  const address = new Int32Array(ADDRESS_CELLS);
  address.set(cells);
  const fd = api.udpOpen(address, 1 << 20);
  t.true(fd >= 0);
  t.teardown(() => api.reactorClose(fd, false));
  return { fd, port: address[Cell.Port]! };
}

/** A socket that gets each datagram by itself. */
function plain(t: ExecutionContext, { family, bytes }: Loopback): { fd: number; port: number } {
  const fd = closing(t, api.socket(family, SOCK_DGRAM, 0));
  t.is(api.bindInet(fd, bytes, 0), 0);
  return { fd, port: api.localPort(fd) };
}

/** Datagrams of these lengths to these ports, one behind the other; the bytes of number i are i. */
function outgoing(at: Loopback, list: readonly (readonly [length: number, port: number])[]): AddressedBatch {
  const memory = new Uint8Array(list.reduce((sum, [len]) => sum + len, 0) + 1);
  const batch = api.newAddressedBatch(memory, list.length);
  let off = 0;
  for (const [i, [len, port]] of list.entries()) {
    memory.fill(i, off, off + len);
    batch.offs[i] = off;
    batch.lens[i] = len;
    batch.addresses.set([...at.cells, port, 0], i * ADDRESS_CELLS);
    off += len;
  }
  return batch;
}

/** Lengths and first bytes of what a plain socket has got; each datagram must be of one byte throughout. */
function arrived(t: ExecutionContext, fd: number): [length: number, first: number][] {
  const stride = 65_600;
  const memory = new Uint8Array(64 * stride);
  const batch = api.newAddressedBatch(memory, 64);
  const count = api.recvFrom(fd, batch, 0, stride, 64);
  t.true(count >= 0);
  return Array.from({ length: Math.max(0, count) }, (_, i) => {
    const off = batch.offs[i]!;
    const datagram = memory.subarray(off, off + batch.lens[i]!);
    t.true(datagram.every((b) => b === datagram[0]));
    t.is(batch.addresses[i * ADDRESS_CELLS + Cell.Segment], 0);
    return [datagram.length, datagram[0] ?? -1];
  });
}

for (const [name, at] of Object.entries(LOOPBACKS)) {
  test(`${name}: datagrams that leave in one piece arrive one by one, whatever their lengths`, (t) => {
    const from = own(t, at);
    const [a, b] = [plain(t, at), plain(t, at)];
    const list: [number, number][] = [
      ...new Array<[number, number]>(5).fill([1200, a.port]),
      [700, a.port],
      [1200, a.port],
      [1200, b.port],
      [1200, b.port],
      [1201, b.port],
      [0, b.port],
      [0, b.port],
      [1, b.port],
      ...new Array<[number, number]>(8).fill([9000, a.port]),
    ];
    t.is(api.sendTo(from.fd, outgoing(at, list), 0, list.length), list.length);
    for (const { fd, port } of [a, b]) {
      const expected = list.flatMap(([len, to], i) => (to === port ? [[len, len === 0 ? -1 : i]] : []));
      t.deepEqual(arrived(t, fd), expected as [number, number][]);
    }
  });

  test(`${name}: what is sent in one piece is handed over in one, with the length of each datagram`, (t) => {
    const [from, to] = [own(t, at), own(t, at)];
    const list: [number, number][] = [...new Array<[number, number]>(7).fill([1000, to.port]), [10, to.port]];
    t.is(api.sendTo(from.fd, outgoing(at, list), 0, 8), 8);
    const memory = new Uint8Array(4 * 65_600);
    const batch = api.newAddressedBatch(memory, 4);
    t.is(api.recvFrom(to.fd, batch, 0, 65_600, 4), 1);
    t.is(batch.lens[0], 7010);
    t.is(batch.addresses[Cell.Segment], 1000);
    t.is(batch.addresses[Cell.Port], from.port);
    t.deepEqual(
      [0, 999, 1000, 6999, 7000, 7009].map((i) => memory[i]),
      [0, 0, 1, 6, 7, 7],
    );
  });
}

test('datagrams that are too long to be cut go one by one', (t) => {
  const at = LOOPBACKS.IPv4;
  const from = own(t, at);
  const to = plain(t, at);
  // With headers they do not fit into a piece of the length that IP allows.
  const list: [number, number][] = new Array<[number, number]>(3).fill([40_000, to.port]);
  t.is(api.sendTo(from.fd, outgoing(at, list), 0, 3), 3);
  t.deepEqual(
    arrived(t, to.fd),
    [0, 1, 2].map((i) => [40_000, i]),
  );
});

test('a socket that is not the reactor’s sends each by itself', (t) => {
  const at = LOOPBACKS.IPv4;
  const from = plain(t, at);
  const to = own(t, at);
  const list: [number, number][] = new Array<[number, number]>(3).fill([1000, to.port]);
  t.is(api.sendTo(from.fd, outgoing(at, list), 0, 3), 3);
  const batch = api.newAddressedBatch(new Uint8Array(4 * 65_600), 4);
  t.is(api.recvFrom(to.fd, batch, 0, 65_600, 4), 3);
  t.deepEqual(
    [0, 1, 2].map((i) => [batch.lens[i], batch.addresses[i * ADDRESS_CELLS + Cell.Segment]]),
    [
      [1000, 0],
      [1000, 0],
      [1000, 0],
    ],
  );
});
