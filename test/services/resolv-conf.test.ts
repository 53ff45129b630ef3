import test from 'ava';
import fc from 'fast-check';
import { parseResolvConf } from '../../src/services/resolv-conf.ts';

const cases: { name: string; text: string; servers: string[]; search?: string[] }[] = [
  { name: 'empty: this machine, as the C library does', text: '', servers: ['127.0.0.1:53'] },
  { name: 'one server', text: 'nameserver 192.0.2.1\n', servers: ['192.0.2.1:53'] },
  {
    name: 'no final newline, tabs, CRLF',
    text: 'nameserver\t192.0.2.1\r\nnameserver 192.0.2.2',
    servers: ['192.0.2.1:53', '192.0.2.2:53'],
  },
  {
    name: 'both families',
    text: 'nameserver 2001:db8::1\nnameserver 127.0.0.53',
    servers: ['[2001:db8::1]:53', '127.0.0.53:53'],
  },
  { name: 'a zone is kept', text: 'nameserver fe80::1%eth0', servers: ['[fe80::1%eth0]:53'] },
  {
    name: 'a zone of nonsense or on IPv4',
    text: 'nameserver fe80::1%\nnameserver 1.2.3.4%eth0\nnameserver fe80::1%a/b',
    servers: ['127.0.0.1:53'],
  },
  {
    name: 'three at most',
    text: [1, 2, 3, 4].map((n) => `nameserver 192.0.2.${n}`).join('\n'),
    servers: ['192.0.2.1:53', '192.0.2.2:53', '192.0.2.3:53'],
  },
  {
    name: 'bad lines are skipped',
    text: 'nameserver\nnameserver x\nnameserver 1.2.3\nnameserver 1.2.3.4.5\nnameserver 1.2.3.4',
    servers: ['1.2.3.4:53'],
  },
  {
    name: 'comments',
    text: '# nameserver 1.1.1.1\n;nameserver 2.2.2.2\nnameserver 3.3.3.3 # mine',
    servers: ['3.3.3.3:53'],
  },
  { name: 'keywords begin the line', text: ' nameserver 1.1.1.1\nNAMESERVER 2.2.2.2', servers: ['127.0.0.1:53'] },
  {
    name: '0.0.0.0 and :: mean this machine',
    text: 'nameserver 0.0.0.0\nnameserver ::',
    servers: ['127.0.0.1:53', '[::1]:53'],
  },
  {
    name: 'search',
    text: 'search a.test b.test.\nnameserver 1.1.1.1',
    servers: ['1.1.1.1:53'],
    search: ['a.test', 'b.test'],
  },
  {
    name: 'the last of search and domain counts',
    text: 'search a.test\ndomain b.test c.test',
    servers: ['127.0.0.1:53'],
    search: ['b.test'],
  },
  {
    name: 'search names of nonsense',
    text: 'search . a..b -x_1 ../x ok # c',
    servers: ['127.0.0.1:53'],
    search: ['-x_1', 'ok'],
  },
  { name: 'options are not ours', text: 'options ndots:5 use-vc\nsortlist 1.2.3.4', servers: ['127.0.0.1:53'] },
];
for (const { name, text, servers, search } of cases) {
  test(`resolv.conf: ${name}`, (t) => {
    const conf = parseResolvConf(text);
    t.deepEqual(conf.servers.map(String), servers);
    t.deepEqual(conf.search, search ?? []);
  });
}

test('any text: one to three servers, no exception', (t) => {
  const word = fc.constantFrom(
    'nameserver',
    'search',
    'domain',
    ' ',
    '\t',
    '\n',
    '1.2.3.4',
    '::1',
    'fe80::1%e',
    '%',
    '#',
    'x.y',
    '',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(word, { maxLength: 40 }).map((w) => w.join('')),
      ),
      (text) => {
        const n = parseResolvConf(text).servers.length;
        t.true(n >= 1 && n <= 3);
      },
    ),
  );
});
