import test from 'ava';
import { Endpoint, parseEndpoint } from '../../src/core/address.ts';
import { errnoOf, listenError, setFromText } from '../../src/host/from-node.ts';

const coded = (code: string): Error => Object.assign(new Error('x'), { code });

const errors = [
  { name: 'an errno', give: coded('ECONNREFUSED'), want: 'ECONNREFUSED' },
  { name: 'an errno with a digit', give: coded('E2BIG'), want: 'E2BIG' },
  { name: "a code of Node's own", give: coded('ERR_SOCKET_CLOSED'), want: 'EIO' },
  { name: 'no code', give: new Error('x'), want: 'EIO' },
  { name: 'not even an error', give: undefined, want: 'EIO' },
];
for (const { name, give, want } of errors) test(`errnoOf: ${name}`, (t) => t.is(errnoOf(give), want));

const texts = [
  { name: 'IPv4', host: '192.0.2.7', port: 5, want: '192.0.2.7:5' },
  { name: 'IPv6', host: '2001:db8::1', port: 5, want: '[2001:db8::1]:5' },
  { name: 'link-local with a zone', host: 'fe80::1%eth0', port: 5, want: '[fe80::1]:5' },
  { name: 'mapped IPv4', host: '::ffff:192.0.2.7', port: 5, want: '192.0.2.7:5' },
  { name: 'a name', host: 'localhost', port: 5, want: null },
  { name: 'no address', host: undefined, port: undefined, want: null },
];
for (const { name, host, port, want } of texts) {
  test(`setFromText: ${name}`, (t) => {
    const endpoint = new Endpoint();
    t.is(setFromText(endpoint, host, port), want !== null);
    t.is(endpoint.toString(), want ?? new Endpoint().toString());
  });
}

const listens = [
  { code: 'EADDRINUSE', want: /^cannot listen on TCP 127\.0\.0\.1:80: EADDRINUSE; another socket uses that port/ },
  { code: 'EACCES', want: /^cannot listen on TCP 127\.0\.0\.1:80: EACCES; .*below 1024.*ip_unprivileged_port_start$/ },
  { code: 'EPROTO', want: /^cannot listen on TCP 127\.0\.0\.1:80: EPROTO$/ },
];
for (const { code, want } of listens) {
  test(`listenError: ${code}`, (t) => {
    const cause = coded(code);
    const error = listenError('TCP', parseEndpoint('127.0.0.1', 80), code, cause);
    t.is(error.code, 'ERR_VDE_LISTEN');
    t.regex(error.message, want);
    t.is(error.cause, cause);
  });
}
