import { readFileSync } from 'node:fs';
import test from 'ava';
import fc from 'fast-check';
import { encodeReply, encodeRequest, MAX_DESCRIPTION, parseReply, parseRequest } from '../../src/link/vde-protocol.ts';

const fixture = (name: string) => readFileSync(new URL(`../../fixtures/vde/${name}`, import.meta.url));

const recorded = [
  { file: 'vde_plug', port: -1, path: '20318', description: 'vdeplug: user=root pid=20318' },
  { file: 'vde_plug-port5', port: 5, path: '20319', description: 'vdeplug: user=root pid=20319' },
  { file: 'vde_plug-port0', port: 0, path: '20320', description: 'vdeplug: user=root pid=20320' },
  { file: 'vde_plug-portgroup', port: -1, path: '20322', description: 'vdeplug: user=root pid=20322' },
  { file: 'vde_plug-descr-ssh', port: -1, path: '20321', description: 'myhost user=root pid=20321 SSH=192.0.2.7' },
  { file: 'slirpvde', port: -1, path: '20323', description: 'slirpvde: user=root pid=20323' },
  { file: 'wirefilter', port: -1, path: '20324', description: 'vde_crosscable user=root pid=20324' },
  { file: 'qemu', port: -1, path: '20325', description: 'QEMU user=root pid=20325' },
  { file: 'qemu-port9', port: 9, path: '20327', description: 'QEMU user=root pid=20327' },
];
for (const { file, port, path: pid, description } of recorded) {
  const path = `/tmp/vde.ctl/.${pid}-00000`;
  const bytes = fixture(`ctl-request-${file}.bin`);
  test(`request of ${file}: parsed`, (t) => t.deepEqual(parseRequest(bytes), { port, path, description }));
  test(`request of ${file}: written byte for byte`, (t) => t.deepEqual(encodeRequest(port, path, description), bytes));
}

test('reply of vde_switch: parsed, and written byte for byte', (t) => {
  const bytes = fixture('ctl-reply.bin');
  t.is(parseReply(bytes), '/tmp/vde.ctl/001.5');
  t.deepEqual(encodeReply('/tmp/vde.ctl/001.5'), bytes);
});

/** A request with some of its bytes changed. */
function changed(change: (message: Buffer) => Buffer | void): Buffer {
  const message = encodeRequest(-1, '/tmp/x', 'me');
  return change(message) ?? message;
}
const refused = [
  { name: 'wrong magic', give: changed((m) => m.fill(0, 0, 1)), want: 'not a VDE request' },
  { name: 'version 2', give: changed((m) => void m.writeUInt32LE(2, 4)), want: 'request of version 2' },
  { name: 'version 4', give: changed((m) => void m.writeUInt32LE(4, 4)), want: 'request of version 4' },
  { name: 'type 2', give: changed((m) => void m.writeUInt32LE(2, 8)), want: 'request of type 2' },
  {
    name: 'family AF_INET',
    give: changed((m) => void m.writeUInt16LE(2, 12)),
    want: 'no path of a Unix socket in the request',
  },
  {
    name: 'empty path',
    give: changed((m) => void m.fill(0, 14, 122)),
    want: 'no path of a Unix socket in the request',
  },
  {
    name: 'abstract path',
    give: changed((m) => void m.fill(0, 14, 15)),
    want: 'no path of a Unix socket in the request',
  },
  {
    name: 'relative path',
    give: changed((m) => void m.write('x', 14)),
    want: 'no path of a Unix socket in the request',
  },
  { name: 'longer than 1024', give: Buffer.concat([changed(() => {}), Buffer.alloc(1000)]), want: 'request too long' },
];
for (const { name, give, want } of refused) test(`parseRequest: ${name}`, (t) => t.is(parseRequest(give), want));

test('parseRequest: every prefix short of the 122 bytes asks for more', (t) => {
  const message = encodeRequest(7, '/tmp/x', '');
  for (let n = 0; n < 122; n++) t.is(parseRequest(message.subarray(0, n)), null);
  t.is(message.length, 122);
});

test('parseRequest: a path that fills all 108 bytes has no NUL and is cut to 107', (t) => {
  const message = changed((m) => void m.fill('/', 14, 122));
  t.is((parseRequest(message) as { path: string }).path, '/'.repeat(107));
});

test('parseRequest: a negative port number means port 0', (t) => {
  const message = changed((m) => void m.writeInt32LE(-256, 8));
  t.like(parseRequest(message), { port: 0 });
});

test('parseRequest: a request of version 1', (t) => {
  const v3 = encodeRequest(-1, '/tmp/x', 'old');
  const v1 = Buffer.concat([v3.subarray(0, 4), Buffer.from([1, 0, 0, 0, 1, 2, 3, 4, 5, 6]), v3.subarray(12)]);
  t.deepEqual(parseRequest(v1), { port: 0, path: '/tmp/x', description: 'old' });
  t.is(parseRequest(v1.subarray(0, 123)), null);
});

test('parseRequest: control characters of a description are replaced, and a NUL ends it', (t) => {
  const message = encodeRequest(-1, '/tmp/x', 'a\n\x1b[31mb\x00hidden');
  t.like(parseRequest(message), { description: 'a??[31mb' });
});

test('encodeRequest: a description is cut to 127 bytes at a character border', (t) => {
  const message = encodeRequest(-1, '/tmp/x', `a${'é'.repeat(100)}`);
  t.true(message.length <= 122 + MAX_DESCRIPTION);
  t.like(parseRequest(message), { description: `a${'é'.repeat(63)}` });
  t.true(message.length <= 256);
});

test('parseRequest: any bytes never throw', (t) => {
  const header = changed(() => {});
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1100 }), fc.nat(12), (bytes, keep) => {
      const message = Buffer.from(bytes);
      header.copy(message, 0, 0, Math.min(keep, message.length));
      parseRequest(message);
      if (message.length >= 110) parseReply(message);
      return true;
    }),
    { numRuns: 500 },
  );
  t.pass();
});
