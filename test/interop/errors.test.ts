// Errors of the world as guests see them, with a second router behind the first:
//
//     guest -- slirpvde (world) -- server, which forwards here -- far 203.0.113.2
import { FAR, farther, PROHIBITED, UNREACHABLE } from './lab/far.ts';
import { GATEWAY, type Lab, SERVER, WORLD } from './lab/lab.ts';
import { connectError, TELLS_OFFENDER } from './lab/offender.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const far = new WeakSet<Lab>();

/** Puts the far namespace behind the server, once for each lab. */
async function withFar(lab: Lab): Promise<void> {
  if (!far.has(lab)) await farther(lab);
  far.add(lab);
  await lab.guest.dhcp();
}

/** `hop address` of each line of traceroute. */
const hops = (text: string): string[] =>
  text
    .split('\n')
    .slice(1)
    .flatMap((line) => /^\s*(\d+)\s+(\S+)/.exec(line)?.slice(1, 3).join(' ') ?? []);

for (const kind of SWITCHES) {
  const suite = new Suite('errors', kind, { router: ['-dhcp', '-U', '5005:10.0.2.15:5005'] });

  for (const [how, ...args] of [
    ['UDP'],
    ['ICMP echo', '-I'],
    ['UDP to one port', '-U', '-p', '33434'],
    ...(TELLS_OFFENDER ? [['TCP', '-T', '-p', '80']] : []),
  ]) {
    suite.test(`traceroute by ${how} sees every hop`, ['traceroute'], async (t, lab) => {
      await withFar(lab);
      const text = await lab.guest.must(['traceroute', '-n', '-q', '1', '-w', '3', ...args, FAR]);
      t.deepEqual(hops(text), [`1 ${GATEWAY}`, `2 ${SERVER}`, `3 ${FAR}`], text);
    });
  }

  suite.test('a closed UDP port is refused at once', ['socat'], async (t, lab) => {
    await withFar(lab);
    for (const address of [SERVER, GATEWAY]) {
      const result = await lab.guest.run([
        'socat',
        '-T',
        '3',
        `UDP:${address}:9`,
        'EXEC:sh -c "echo x; sleep 0.2; echo x; sleep 2"',
      ]);
      t.regex(result.stderr, /Connection refused/, `${address}: ${result.stderr}`);
    }
  });

  for (const [address, word] of [
    [UNREACHABLE, /Destination Host Unreachable/],
    [PROHIBITED, /Packet filtered/],
  ] as const) {
    suite.test(`ping: what the next router says of ${address} comes from it`, [], async (t, lab) => {
      await withFar(lab);
      // Four of them: Linux sends one such error a second.
      const { stdout } = await lab.guest.run(['ping', '-n', '-c', '4', '-W', '1', address]);
      t.regex(stdout, new RegExp(`From ${SERVER.replaceAll('.', '\\.')} `));
      t.regex(stdout, word);
    });
  }

  for (const [address, want] of [
    [UNREACHABLE, `EHOSTUNREACH 3/1 of ${SERVER}`],
    [PROHIBITED, `EHOSTUNREACH 3/13 of ${SERVER}`],
  ] as const) {
    if (!TELLS_OFFENDER) continue;
    suite.test(`TCP: what the next router says of ${address} comes from it, at once`, ['python3'], async (t, lab) => {
      await withFar(lab);
      t.is(await connectError(lab.guest, address), want);
    });
  }

  suite.test('TCP: a closed port is an RST, not an ICMP error', ['python3'], async (t, lab) => {
    await withFar(lab);
    t.is(await connectError(lab.guest, GATEWAY), 'ECONNREFUSED without an ICMP error');
  });

  suite.test('ping: the TTL of replies counts the hops', [], async (t, lab) => {
    await withFar(lab);
    const near = /ttl=(\d+)/.exec(await lab.guest.must(['ping', '-n', '-c', '1', SERVER]))?.[1];
    const distant = /ttl=(\d+)/.exec(await lab.guest.must(['ping', '-n', '-c', '1', FAR]))?.[1];
    t.deepEqual([near, distant], ['63', '62']);
  });

  suite.test('ping with DF beyond a smaller MTU: the next router names it', [], async (t, lab) => {
    await withFar(lab);
    await lab.server.must(['ip', 'link', 'set', 'far0', 'mtu', '1280']);
    const { stdout } = await lab.guest.run(['ping', '-n', '-c', '1', '-W', '2', '-M', 'do', '-s', '1400', FAR]);
    t.regex(stdout, new RegExp(`From ${SERVER.replaceAll('.', '\\.')} .*mtu = 1280`));
  });

  suite.test('ping of 20,000 bytes: fragments both ways', [], async (t, lab) => {
    await withFar(lab);
    for (const address of [GATEWAY, SERVER]) {
      const { stdout } = await lab.guest.run(['ping', '-n', '-c', '3', '-i', '0.3', '-W', '2', '-s', '20000', address]);
      t.regex(stdout, /3 packets transmitted, 3 received/, address);
    }
  });

  suite.test('UDP datagrams of 65,507 bytes come back whole', ['socat', 'sha256sum'], async (t, lab) => {
    await withFar(lab);
    const line = `head -c 65507 /dev/urandom >$F; sha256sum <$F; socat -b 65507 -t 2 - UDP:${SERVER}:7003 <$F | sha256sum`;
    const [sent, back] = (await lab.guest.shell(`F=${lab.dir}/large; ${line}`)).stdout.split('\n');
    t.is(back, sent);
  });

  suite.test(
    "hairpin: a guest reaches a forwarded port by the host's address (RFC 4787 REQ-9)",
    ['socat'],
    async (t, lab) => {
      await withFar(lab);
      const listener = lab.guest.space.start(['socat', '-u', 'UDP-RECV:5005', 'STDOUT']);
      const deadline = Date.now() + 5000;
      while (!listener.stdout.includes('round trip') && Date.now() < deadline) {
        await lab.guest.run(['socat', '-u', 'STDIN', `UDP:${WORLD}:5005`], { input: 'round trip\n' });
      }
      t.regex(listener.stdout, /round trip/);
      await listener.stop();
    },
  );

  suite.end();
}
