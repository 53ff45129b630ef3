import { BIG_TXT_RECORDS, DNS, GATEWAY, SERVER } from './lab/lab.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

for (const kind of SWITCHES) {
  const suite = new Suite('udp', kind);
  const dig = ['dig', '+tries=1', '+time=3'];

  suite.test('dig resolves over UDP by the host’s resolver', ['dig', 'dnsmasq'], async (t, lab) => {
    await lab.startDns();
    await lab.guest.dhcp();
    t.is(await lab.guest.must([...dig, '+short', 'host.test']), '192.0.2.77\n');
    t.is(await lab.guest.must([...dig, '+short', `@${DNS}`, 'host.test']), '192.0.2.77\n');
  });

  suite.test('dig resolves over TCP, and gets large answers', ['dig', 'dnsmasq'], async (t, lab) => {
    t.is(await lab.guest.must([...dig, '+tcp', '+short', 'host.test']), '192.0.2.77\n');
    const records = async (...options: string[]): Promise<string> => {
      const text = await lab.guest.must([...dig, ...options, 'big.test', 'TXT']);
      t.is(text.match(/^big\.test\.\s.*\sTXT\s+"\d+:x+"$/gm)?.length, BIG_TXT_RECORDS);
      return text;
    };
    await records('+tcp');
    // Over UDP the answer is cut short: dig must see the TC bit, and asks again over TCP.
    t.regex(await records('+bufsize=512'), /Truncated, retrying in TCP mode/);
  });

  suite.test(
    'a name that does not exist stays so, and other types are passed on',
    ['dig', 'dnsmasq'],
    async (t, lab) => {
      t.regex(await lab.guest.must([...dig, 'nobody.test']), /status: NXDOMAIN/);
      const empty = await lab.guest.must([...dig, 'host.test', 'AAAA']);
      t.regex(empty, /status: NOERROR/);
      t.regex(empty, /ANSWER: 0/);
    },
  );

  suite.test('a datagram is answered from beyond the router', ['socat'], async (t, lab) => {
    const result = await lab.guest.run(['socat', '-t', '1', '-', `UDP:${SERVER}:7003`], { input: 'there and back\n' });
    t.is(result.stdout, 'there and back\n');
  });

  suite.test('a guest port keeps its mapping whatever it talks to (RFC 4787 REQ-1)', ['socat'], async (t, lab) => {
    const seen = async (port: number): Promise<string> => {
      const to = `UDP:${SERVER}:${port},sourceport=5555`;
      return (await lab.guest.run(['socat', '-t', '1', '-', to], { input: 'who am I?' })).stdout;
    };
    const first = await seen(7005);
    t.regex(first, /^198\.51\.100\.1 \d+\n$/);
    t.is(await seen(7006), first);
  });

  suite.test('ping reaches the gateway and beyond', [], async (t, lab) => {
    for (const address of [GATEWAY, DNS, SERVER]) {
      const result = await lab.guest.run(['ping', '-n', '-c', '3', '-i', '0.2', '-W', '2', '-s', '1400', address]);
      t.regex(result.stdout, /3 packets transmitted, 3 received/, address);
    }
  });

  suite.end();
}

const forbidden = new Suite('ping sockets forbidden', 'embedded', { ping: false });

forbidden.test('slirpvde says so in one line, and goes on', [], async (t, lab) => {
  const lines = lab.router.stderr.split('\n').filter((line) => /ping_group_range/.test(line));
  t.is(lines.length, 1, lab.router.stderr);
  await lab.guest.dhcp();
  t.is((await lab.guest.run(['ping', '-n', '-c', '1', '-W', '2', GATEWAY])).code, 0);
  const beyond = await lab.guest.run(['ping', '-n', '-c', '1', '-W', '1', SERVER]);
  t.is(beyond.code, 1);
});

forbidden.end();
