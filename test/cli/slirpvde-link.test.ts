// The service with real sockets in a directory of the test: who reaches the router by which way.

import { cpSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { Logger } from '../../src/cli/log.ts';
import { parseCommandLine } from '../../src/cli/parse.ts';
import { slirpvdeConfig } from '../../src/cli/slirpvde-config.ts';
import { SLIRPVDE } from '../../src/cli/slirpvde-options.ts';
import { startSlirpvde } from '../../src/cli/slirpvde-run.ts';
import { SystemClock } from '../../src/core/clock.ts';
import { FrameMemory, type Link } from '../../src/core/frame.ts';
import { TimerWheel } from '../../src/core/timer-wheel.ts';
import { QemuDgramLink, VdeClient, VdeServer } from '../../src/link/index.ts';
import { QemuStreamLink } from '../../src/link/qemu-stream.ts';
import { portAllocator, Switch } from '../../src/switch/index.ts';
import { frameSummary } from '../../src/wire/summary.ts';
import { Recorder, tempDir, until } from '../link/support.ts';
import { run } from '../native/support.ts';
import { arpFrame, BROADCAST_MAC, udpFrame } from '../support/guest-frames.ts';

async function start(t: ExecutionContext, line: string) {
  const lines: string[] = [];
  const log = new Logger({ name: 't', sinks: [(text) => lines.push(text)] });
  const config = slirpvdeConfig(parseCommandLine(SLIRPVDE, line.split(' ')), '/');
  const service = await startSlirpvde(config, log, { again: () => config, files: [] });
  t.teardown(() => service.close());
  return { service, lines };
}

/** Asks for the router by ARP until it answers `mac`. */
async function reaches(link: Link, spa: string, srcMac: string): Promise<void> {
  const sink = new Recorder();
  link.attach(sink);
  const ask = arpFrame({ spa, tpa: '10.0.2.2', srcMac });
  link.tx.frame(ask, 0, ask.length);
  link.tx.flush();
  const answered = () => sink.frames.some((f) => frameSummary(f, 0, f.length).includes(`> ${srcMac}`));
  await until(answered, `the router answers ${spa}`);
}

for (const joined of [false, true]) {
  test(`guests of VDE, of streams and of datagrams on one network: ${joined ? 'joined' : 'embedded'}`, async (t) => {
    const dir = tempDir(t);
    const [ctl, q, ours, theirs] = ['ctl', 'q', 'ours', 'theirs'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
      string,
    ];
    const memory = new FrameMemory();
    if (joined) {
      const sw = new Switch({ wheel: new TimerWheel(new SystemClock()) });
      const server = await VdeServer.listen({ path: ctl, memory, allocate: portAllocator(sw) });
      t.teardown(() => server.close());
    }
    const { service } = await start(t, `-s ${ctl} --qemu-stream ${q} --qemu-dgram ${ours},${theirs}`);
    t.is(service.state.role, joined ? 'joined' : 'embedded');
    const vde = await VdeClient.connect({ path: ctl, description: 'test', memory });
    const stream = new QemuStreamLink(connect(q), 'guest', 1500);
    const dgram = new QemuDgramLink({ local: theirs, remote: ours, memory });
    t.teardown(async () => {
      for (const link of [vde, stream, dgram]) await link.close();
    });
    await reaches(vde, '10.0.2.21', '02:00:00:00:00:21');
    await reaches(stream, '10.0.2.22', '02:00:00:00:00:22');
    await reaches(dgram, '10.0.2.23', '02:00:00:00:00:23');
    await service.close();
    t.false(existsSync(q) || existsSync(ours));
  });
}

for (const { mode, arrives } of [
  { mode: 'warn', arrives: true },
  { mode: 'enforce', arrives: false },
  { mode: 'off', arrives: true },
] as const) {
  test(`--guard ${mode}: false ARP, DHCP servers and routers among the guests of our own switch`, async (t) => {
    const dir = tempDir(t);
    const ctl = join(dir, 'ctl');
    const { service, lines } = await start(t, `-s ${ctl}${mode === 'warn' ? '' : ` --guard ${mode}`}`);
    const memory = new FrameMemory();
    const [liar, other] = [
      await VdeClient.connect({ path: ctl, description: 'liar', memory }),
      await VdeClient.connect({ path: ctl, description: 'other', memory }),
    ];
    t.teardown(() => Promise.all([liar.close(), other.close()]));
    if (arrives) await reaches(other, '10.0.2.22', '02:00:00:00:00:22'); // else nobody has given it that address
    const sink = new Recorder();
    other.attach(sink);
    const srcMac = '02:00:00:00:00:66';
    const false_ = [
      ...['10.0.2.2', '10.0.2.3', '10.0.2.255'].map((spa) => arpFrame({ op: 2, srcMac, spa, tpa: '10.0.2.22' })),
      udpFrame({ srcMac, dstMac: BROADCAST_MAC, src: '10.0.2.66', dst: '255.255.255.255', sport: 67, dport: 68 }),
    ];
    for (const f of [...false_, arpFrame({ srcMac, spa: '10.0.2.66', tpa: '10.0.2.22' })])
      liar.tx.frame(f, 0, f.length);
    liar.tx.flush();
    const seen = (): number => sink.frames.filter((f) => f[11] === 0x66).length;
    if (arrives) await until(() => seen() > false_.length, 'what the liar sent');
    const told = lines.filter((line) => /port \d+: (seen|dropped): ARP/.test(line));
    if (arrives) t.is(told.length, mode === 'warn' ? 1 : 0, lines.join('\n'));
    else {
      await until(() => lines.some((line) => /port \d+: dropped: ARP/.test(line)), 'the line in the log');
      t.is(seen(), 0);
    }
    await service.close();
  });
}

test('what is plugged in is asked for the next addresses, before a guest there asks for one', async (t) => {
  const dir = tempDir(t);
  const ctl = join(dir, 'ctl');
  const { service } = await start(t, `-s ${ctl} -D`);
  const link = await VdeClient.connect({ path: ctl, description: 'test', memory: new FrameMemory() });
  t.teardown(() => link.close());
  const sink = new Recorder();
  link.attach(sink);
  const asked = (): string => sink.frames.map((f) => frameSummary(f, 0, f.length)).join('\n');
  await until(() => asked().includes('10.0.2.16'), 'probes of the next two addresses');
  t.regex(asked(), /who-has 10\.0\.2\.15 .*\n(.*\n)*.*who-has 10\.0\.2\.16 /);
  await service.close();
});

test('one lease file, one process: the second start says why not, and the file is free again afterwards', async (t) => {
  const dir = tempDir(t);
  const line = (name: string): string => `-s ${join(dir, name)} -D --leases ${join(dir, 'leases')}`;
  const { service } = await start(t, line('a'));
  await t.throwsAsync(start(t, line('b')), { message: /lease file .*leases: another process keeps its leases there/ });
  t.false(existsSync(join(dir, 'b')), 'nothing is left of the start that failed');
  await service.close();
  t.false(existsSync(join(dir, 'leases.lock')));
  const again = await start(t, line('b'));
  await again.service.close();
});

test('without the native addon: streams work, VDE is left out with one line; with -s it is an error', async (t) => {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const dir = tempDir(t);
  cpSync(join(root, 'src'), join(dir, 'src'), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  cpSync(join(root, 'package.json'), join(dir, 'package.json'));
  const q = join(dir, 'q');
  const script = join(dir, 'probe.ts');
  writeFileSync(
    script,
    `import { connect } from 'node:net';
     import { startSlirpvde } from './src/cli/slirpvde-run.ts';
     import { slirpvdeConfig } from './src/cli/slirpvde-config.ts';
     import { parseCommandLine } from './src/cli/parse.ts';
     import { SLIRPVDE } from './src/cli/slirpvde-options.ts';
     import { Logger } from './src/cli/log.ts';
     const log = new Logger({ name: 't', sinks: [(line) => console.log(line)] });
     const go = (line: string) => startSlirpvde(slirpvdeConfig(parseCommandLine(SLIRPVDE, line.split(' ')), '/'), log);
     await go('-s ${dir}/ctl --qemu-stream ${q}').catch((error) => console.log(error.code));
     const service = await go('--qemu-stream ${q}');
     console.log(service.state.role);
     const guest = connect('${q}', () => guest.write(Buffer.from('${askHex()}', 'hex')));
     guest.on('data', (b) => {
       if (!b.includes(Buffer.from('02000000002252550a000202', 'hex'))) return;
       console.log('answered');
       process.exit();
     });`,
  );
  const { stdout, stderr } = await run(process.execPath, [`--import=${import.meta.resolve('tsx')}`, script]);
  const lines = stdout.trim().split('\n');
  t.is(lines[0], 'ERR_VDE_NO_NATIVE', stderr);
  t.regex(lines[1]!, /^t: no VDE socket, guests come in by --qemu-stream only: vdenet: /);
  t.deepEqual(lines.slice(2), ['qemu', 'answered'], stderr);
});

/** An ARP request behind its length, as QEMU sends it. */
function askHex(): string {
  const ask = arpFrame({ spa: '10.0.2.22', tpa: '10.0.2.2', srcMac: '02:00:00:00:00:22' });
  return Buffer.concat([Buffer.of(0, 0, 0, ask.length), ask]).toString('hex');
}
