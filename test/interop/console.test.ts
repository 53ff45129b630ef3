// The management console as Debian's terminals use it, and what a flood of one guest leaves to the others.
import { connect } from 'node:net';
import { join } from 'node:path';
import { DNS, type Guest, type Lab, SERVER, SLIRPVDE } from './lab/lab.ts';
import { until } from './lab/process.ts';
import { Suite, SWITCHES } from './lab/suite.ts';

const socketOf = (lab: Lab): string => join(lab.dir, 'run/mgmt');

/** Runs commands in one session of its own; all that came. */
function ask(lab: Lab, ...commands: string[]): Promise<string> {
  return new Promise((done, fail) => {
    const socket = connect(socketOf(lab));
    let text = '';
    socket.on('error', fail);
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('close', () => done(text));
    socket.write([...commands, 'logout', ''].join('\n'));
  });
}

for (const kind of SWITCHES) {
  const suite = new Suite('console', kind, { start: false, guests: 0 });

  suite.test('is served beside the switch', [], async (t, lab) => {
    await lab.startRouter(['-dhcp', '-M', socketOf(lab)]);
    await lab.startDns();
    const guest = await lab.addGuest();
    await guest.dhcp();
    await until(async () => (await ask(lab, 'lease/list')).includes('bound'), 5000, 'the lease is listed');
    const text = await ask(lab, 'showinfo', 'neighbor/list', 'port/print');
    t.regex(text, kind === 'embedded' ? / embedded mtu / : / joined mtu /);
    t.regex(text, /10\.0\.2\.15 +[0-9a-f:]{17} +reachable/);
    t.regex(text, kind === 'embedded' ? /Port 0001 untagged_vlan=0000 ACTIVE/ : /1038 Function not implemented/);
  });

  suite.test('unixcmd gets the data of a command', ['unixcmd'], async (t, lab) => {
    const line = ['unixcmd', '-s', socketOf(lab), '-f', '/etc/vde2/vdecmd', 'lease/list'];
    const stdout = (await lab.world.run(line)).stdout.replaceAll('\0', ''); // unixcmd puts one behind each line
    t.regex(stdout, /^ADDRESS +MAC +STATE/m);
    t.regex(stdout, /^10\.0\.2\.15 .* bound /m);
  });

  suite.test('unixterm passes lines both ways', ['unixterm'], async (t, lab) => {
    const term = lab.world.start(['unixterm', socketOf(lab)]);
    await term.until((child) => child.stdout.includes('slirpvde$ '), 5000, 'the prompt');
    term.write('policy/list\n');
    await term.until((child) => child.stdout.includes('1000 Success'), 5000, 'the answer');
    t.true(term.stdout.includes("0000 DATA END WITH '.'\nhost loopback at the router address: open\n"));
    await term.stop();
  });

  suite.test('vdeterm lists and changes forwards from a terminal', ['vdeterm', 'script', 'nc'], async (t, lab) => {
    const term = lab.world.start(['script', '-qfec', `vdeterm ${socketOf(lab)}`, '/dev/null']);
    await term.until((child) => child.stdout.includes(']: '), 5000, 'the prompt');
    term.write('forward/add tcp 8099:10.0.2.15:7004\n');
    await term.until((child) => child.stdout.includes('8099:10.0.2.15:7004  0'), 5000, 'the new forward');
    const services = lab.guest.space.start(lab.script('test/interop/lab/server.ts'));
    await services.until((child) => child.stdout.includes('ready'), 10_000, 'the guest’s servers listen');
    t.regex(await lab.server.must(['nc', '-d', '-p', '40405', '198.51.100.1', '8099']), /^198\.51\.100\.2 40405/);
    term.write('forward/remove 1\n');
    await until(async () => !(await ask(lab, 'forward/list')).includes('8099'), 5000, 'the forward is gone');
    t.not((await lab.server.run(['nc', '-d', '-w', '2', '198.51.100.1', '8099'])).code, 0);
    term.write('logout\n');
    await until(() => !term.running, 5000, 'vdeterm has ended');
  });

  suite.test('flow/list shows a connection and flow/close resets it', ['nc'], async (t, lab) => {
    const nc = lab.guest.space.start(['nc', SERVER, '7001']);
    const listed = /^(t\d+) +10\.0\.2\.15:\d+ +198\.51\.100\.2:7001 +ESTABLISHED /m;
    await until(async () => listed.test(await ask(lab, 'flow/list tcp')), 5000, 'the flow is listed');
    const id = listed.exec(await ask(lab, 'flow/list tcp'))![1]!;
    t.regex(await ask(lab, `flow/close ${id}`), /1000 Success/);
    nc.write('too late\n');
    await until(() => !nc.running, 5000, 'nc has ended');
    t.notRegex(await ask(lab, 'flow/list tcp'), listed);
  });

  suite.test('policy/deny refuses a destination at once, policy/remove opens it again', ['curl'], async (t, lab) => {
    const get = ['curl', '-sS', '--max-time', '3', '-o', '/dev/null', `http://${SERVER}/bytes/10`];
    t.is((await lab.guest.run(get)).code, 0);
    const id = /^Rule (\d+)$/m.exec(await ask(lab, `policy/deny ${SERVER}:80/tcp`))![1]!;
    const refused = await lab.guest.run(get);
    t.is(refused.code, 7, 'connection refused');
    t.true(refused.ms < 1000, `${refused.ms} ms`);
    t.regex(await ask(lab, `policy/remove ${id}`), /1000 Success/);
    t.is((await lab.guest.run(get)).code, 0);
  });

  suite.test('capture/start and stop leave a file that tcpdump reads', ['tcpdump', 'ping'], async (t, lab) => {
    const path = join(lab.dir, 'run/console.pcapng');
    t.regex(await ask(lab, `capture/start ${path}`), /1000 Success/);
    await lab.guest.must(['ping', '-n', '-c', '2', '-i', '0.2', '10.0.2.2']);
    t.regex(await ask(lab, 'capture/stop'), /1000 Success/);
    const text = await lab.world.must(['tcpdump', '-n', '-r', path, 'icmp']);
    t.is(text.match(/echo reply/g)?.length, 2);
  });

  suite.test('shutdown ends slirpvde in order', [], async (t, lab) => {
    await ask(lab, 'shutdown');
    t.deepEqual(await lab.router.exited, { code: 0, signal: null });
  });

  suite.end();
}

const FLOOD = `
import socket
for port in range(10000, 15000):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(('', port))
    s.sendto(b'x', ('${SERVER}', 9))
    s.close()
`;

const flood = new Suite('256 descriptors', 'embedded', { start: false, guests: 0 });

flood.test(
  '5,000 UDP flows of one guest leave TCP and DNS to it and to others',
  ['prlimit', 'python3', 'curl', 'dig'],
  async (t, lab) => {
    const argv = ['prlimit', '--nofile=256:256', ...SLIRPVDE, '-s', lab.ctl, '-dhcp', '-M', socketOf(lab)];
    const router = lab.world.start(argv);
    await until(
      () => !router.running || lab.listens(),
      10_000,
      () => `slirpvde is ready: ${router.stderr}`,
    );
    await lab.startDns();
    for (const address of ['10.0.2.15', '10.0.2.16']) await (await lab.addGuest()).configure(address);
    await lab.guest.must(['python3', '-c', FLOOD], { timeoutMs: 60_000 });
    const status = await ask(lab, 'showinfo');
    const udp = /^udp flows +(\d+) of (\d+)$/m.exec(status)!;
    const files = /^descriptors +(\d+) of 256, of flows (\d+) of (\d+), (\d+) for one guest/m.exec(status)!;
    t.is(udp[1], udp[2], 'the flood has all it may have');
    t.true(Number(udp[2]) <= Number(files[3]) / 2, 'half of the descriptors of flows');
    t.true(Number(files[1]) < 256 - 64, status);
    // Within a second, in one of a few tries: a machine may stall.
    const quick = async (guest: Guest, words: readonly string[]): Promise<string> => {
      let last = '';
      for (let tries = 0; tries < 5; tries++) {
        const { code, ms, stdout, stderr } = await guest.run(words);
        if (code === 0 && ms < 1000) return stdout;
        last = `${words[0]}: ${ms} ms, status ${code}: ${stdout}${stderr}`;
      }
      throw new Error(last);
    };
    for (const guest of lab.guests) {
      const get = ['curl', '-sS', '--max-time', '2', '-o', '/dev/null', '-w', 'got', `http://${SERVER}/bytes/10`];
      t.is(await quick(guest, get), 'got');
      t.is(await quick(guest, ['dig', '+short', '+time=2', '+tries=1', `@${DNS}`, 'host.test']), '192.0.2.77\n');
    }
    await lab.guests[1]!.must(['python3', '-c', FLOOD], { timeoutMs: 60_000 });
    const flows = await ask(lab, 'flow/list udp');
    const share = Number(files[4]);
    for (const address of ['10.0.2.15', '10.0.2.16'])
      t.true(flows.split(`${address}:`).length - 1 <= share, `${address}: at most ${share}`);
    await ask(lab, 'shutdown');
    t.deepEqual(await router.exited, { code: 0, signal: null });
  },
);

flood.end();
