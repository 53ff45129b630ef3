// vde_plug and vde_plug2tap with Debian's programs at the other end, in both roles.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { numbered } from '../link/support.ts';
import { listens } from './lab/listens.ts';
import { isRunning, until } from './lab/process.ts';
import { type Bench, benchTest, connected, framed, ours, send, unframed } from './lab/stations.ts';
import { Suite } from './lab/suite.ts';

const NEEDS = ['vde_switch', 'vde_plug'];
const PLUG = ours('vde_plug');
const DEBIAN = ['vde_plug'];
const test = (title: string, body: (t: ExecutionContext, bench: Bench) => Promise<void>, needs: string[] = []): void =>
  benchTest(`plug: ${title}`, [...NEEDS, ...needs], body);

/** Lengths that nothing divides, 14 to 1514. */
const odd = (n: number): Buffer[] =>
  Array.from({ length: n }, (_, i) => Buffer.from(numbered(i, 60 + ((i * 7919) % 1455))));

test('a cable between two switches; names and ends as the original', async (t, bench) => {
  const [one, two] = [await bench.switch('one'), await bench.switch('two')];
  const plug = bench.start([...PLUG, `vde://${one}`, two]);
  await connected(t, await bench.station(one), await bench.station(two), 'cable');
  t.deepEqual(await plug.stop(), { code: 0, signal: null });
  t.is(plug.stderr, '');
});

const wires: [string, (one: string, two: string) => string[]][] = [
  ['ours = ours', (a, b) => [...PLUG, a, '=', ...PLUG, b]],
  ["ours = Debian's", (a, b) => [...PLUG, a, '=', 'vde_plug', b]],
  ["Debian's = ours", (a, b) => ['vde_plug', a, '=', ...PLUG, b]],
  ["ours = a remote shell with Debian's", (a, b) => [...PLUG, a, '=', 'sh', '-c', `vde_plug ${b}`]],
  ["ours cmd:// with Debian's", (a, b) => [...PLUG, a, `cmd://vde_plug '${b}'`]],
];
for (const [name, words] of wires)
  test(`${name}: a cable by a command, which ends with it`, async (t, bench) => {
    const [one, two] = [await bench.switch('one'), await bench.switch('two')];
    const plug = bench.start(words(one, two));
    await connected(t, await bench.station(one), await bench.station(two), name);
    await plug.stop();
  });

test("streams of random lengths at full speed stay in step with Debian's reader, which loses those of its own kind", async (t, bench) => {
  const frames = odd(8000);
  const out = bench.path('out');
  const plug = bench.start(['sh', '-c', `"$@" | cat`, 'sh', ...PLUG, `cmd://vde_plug "cmd://sh -c 'cat > ${out}'"`]);
  plug.write(Buffer.concat(frames.map(framed)));
  const size = frames.reduce((sum, frame) => sum + 2 + frame.length, 0);
  await until(
    () => existsSync(out) && readFileSync(out).length >= size,
    15_000,
    () => `all came: ${readFileSync(out).length} of ${size}`,
  );
  t.true(readFileSync(out).equals(Buffer.concat(frames.map(framed))));
});

test("port, description, mode and group are what Debian's switch sees", async (t, bench) => {
  const [one, two] = [bench.path('one'), await bench.switch('two')];
  bench.start(['vde_switch', '-s', one, '-M', bench.path('mgmt')]);
  await until(() => listens(bench.path('mgmt')), 5000, 'the console');
  const access = ['--port', '5', '-m', '600', '-g', '0', '--port2', '6', '-D', 'text: of mine'];
  bench.start([...PLUG, ...access, one, two], { SSH_CLIENT: '192.0.2.7 5000 22' });
  const seen = async (): Promise<string> => {
    const ask = bench.start([...ours('unixcmd'), '-s', bench.path('mgmt'), 'port/print', '5']);
    await ask.exited;
    return ask.stdout;
  };
  await until(async () => / text: of mine user=\w+ pid=\d+ SSH=192\.0\.2\.7$/m.test(await seen()), 8000, 'the port');
  t.true(readdirSync(one).some((name) => name.startsWith('005.')));
  await until(() => readdirSync(two).some((name) => name.startsWith('006.')), 8000, 'the port of the second switch');
  const refused = bench.start([...PLUG, '-g', 'nosuchgroup', one]);
  t.is((await refused.exited).code, 1);
  t.regex(refused.stderr, /nosuchgroup/);
});

test('standard input: headers and frames cut anywhere; its end ends the plug with 0', async (t, bench) => {
  const one = await bench.switch('one');
  const station = await bench.station(one);
  const plug = bench.start([...PLUG, one]);
  const frames = [numbered(1), numbered(2, 1514), numbered(3)];
  for (const byte of framed(frames[0]!)) plug.write(Buffer.of(byte));
  await until(
    () => station.heard.frames.length === 1,
    5000,
    () => `byte by byte: ${plug.stderr}`,
  );
  plug.write(Buffer.of(0, 0));
  plug.write(Buffer.concat([framed(frames[1]!), Buffer.of(0)]));
  await until(() => station.heard.frames.length === 2, 5000, 'half a length');
  plug.write(framed(frames[2]!).subarray(1));
  await until(() => station.heard.frames.length === 3, 5000, 'the other half');
  t.deepEqual(station.heard.numbers, [1, 2, 3]);
  send(station, numbered(9, 1514), numbered(10));
  await plug.until((child) => unframed(child.stdoutBytes).length === 2, 5000, 'frames come out');
  plug.end();
  t.deepEqual(await plug.exited, { code: 0, signal: null });
});

test('a length over the limit ends the plug with 1 and a message', async (t, bench) => {
  const plug = bench.start([...PLUG, await bench.switch('one')]);
  plug.write(Buffer.of(0xff, 0xff, 1, 2, 3));
  t.is((await plug.exited).code, 1);
  t.regex(plug.stderr, /^vde_plug: what came on standard input is not a stream of frames\n$/);
});

test('the switch ends: status 0 as the original; --reconnect joins it again', async (t, bench) => {
  const first = await bench.startSwitch('one');
  const two = await bench.switch('two');
  const plain = bench.start([...PLUG, bench.path('one'), 'null://']);
  const lasting = bench.start([...PLUG, '--reconnect', bench.path('one'), two]);
  await connected(t, await bench.station(bench.path('one')), await bench.station(two), 'before');
  await until(
    () => readdirSync(bench.path('one')).filter((name) => /^\d{3}\./.test(name)).length === 3,
    5000,
    'both joined',
  );
  await first.stop();
  t.deepEqual(await plain.exited, { code: 0, signal: null });
  t.true(lasting.running);
  await bench.startSwitch('one');
  await connected(t, await bench.station(bench.path('one')), await bench.station(two), 'after');
  t.regex(lasting.stderr, /: down\n.*: up\n/);
});

test('a port that is refused, a switch that is not there, a scheme that is not known: a message and status 1', async (t, bench) => {
  const one = await bench.switch('one');
  const cases: [string, RegExp][] = [
    [`${one}[99]`, /gave no port: no answer within 5 s/],
    [bench.path('none'), /cannot join a switch: none listens at .*none\/ctl \(ENOENT\); start one with/],
    ['nosuch://x', /unknown scheme "nosuch"; known are vde, tap, udp/],
    ['hub://x[rope=3]', /"rope=3" in hub:\/\/.*x\[rope=3\]: expected mode=OCTAL/],
    ['udp://1234', /expected udp:\/\/\[ADDRESS:\]PORT->ADDRESS:PORT/],
    ['seqpacket://77', /descriptor 77 is not open/],
    ['cmd://nosuchprogram', /cannot start nosuchprogram: there is no such program/],
  ];
  for (const [url, message] of cases) {
    const plug = bench.start([...PLUG, url]);
    t.is((await plug.exited).code, 1, url);
    t.regex(plug.stderr, message);
  }
  t.deepEqual(
    readdirSync(one).filter((name) => name.startsWith('.')),
    [],
  );
});

test('the command behind = fails, or cannot be started', async (t, bench) => {
  const one = await bench.switch('one');
  for (const [words, message] of [
    [['sh', '-c', 'exit 7'], /sh ended with status 7/],
    [['sh', '-c', 'kill -9 $$'], /sh was ended by SIGKILL/],
    [['nosuchprogram'], /cannot start nosuchprogram/],
    [['sh', '-c', 'echo this is no frame; cat'], /what sh writes is not a stream of frames/],
  ] as const) {
    const plug = bench.start([...PLUG, one, '=', ...words]);
    t.is((await plug.exited).code, 1, words.join(' '));
    t.regex(plug.stderr, message);
  }
  const plug = bench.start([...PLUG, one, '=', 'true']);
  t.is((await plug.exited).code, 0);
});

test('a command that does not end by itself is ended with the plug', async (t, bench) => {
  const plug = bench.start([
    ...PLUG,
    await bench.switch('one'),
    '=',
    'sh',
    '-c',
    'trap "" TERM; echo $$ >&2; while :; do sleep 0.1; done',
  ]);
  await plug.until((child) => child.stderr.includes('\n'), 5000, 'the command runs');
  const pid = Number.parseInt(plug.stderr, 10);
  await plug.stop();
  await until(() => !isRunning(pid), 3000, 'the command is gone');
  t.false(isRunning(pid));
});

test('the default switch: ~/.vdeplug/default as a file with a URL; an empty URL', async (t, bench) => {
  const [one, two] = [await bench.switch('one'), await bench.switch('two')];
  mkdirSync(bench.path('.vdeplug'));
  writeFileSync(bench.path('.vdeplug/default'), `vde://${one}[7]\nignored\n`);
  const plug = bench.start([...PLUG, '', two]);
  await connected(t, await bench.station(one), await bench.station(two), 'default');
  t.true(readdirSync(one).some((name) => name.startsWith('007.')));
  await plug.stop();
});

/** Two free UDP ports of the loopback. */
async function ports(): Promise<[number, number]> {
  const sockets = [createSocket('udp4'), createSocket('udp4')] as const;
  for (const socket of sockets) {
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
  }
  const found = sockets.map((socket) => socket.address().port) as [number, number];
  for (const socket of sockets) socket.close();
  return found;
}

for (const other of [PLUG, DEBIAN])
  test(`udp:// with ${other === PLUG ? 'ours' : "Debian's"}, frames up to 9230 bytes, before the other is there too`, async (t, bench) => {
    const [p, q] = await ports();
    const a = bench.start([...PLUG, `udp://127.0.0.1:${p}->127.0.0.1:${q}`]);
    const early = framed(numbered(0));
    await until(
      () => {
        a.write(early);
        return existsSync(`/proc/${a.pid}/fd`);
      },
      1000,
      'started',
    );
    const b = bench.start([...other, `udp://${q}->127.0.0.1:${p}`]);
    const tick = setInterval(() => {
      a.write(early);
      b.write(early);
    }, 50);
    await until(
      () => unframed(a.stdoutBytes).length > 0 && unframed(b.stdoutBytes).length > 0,
      8000,
      () => `a frame: ${a.stderr} ${b.stderr}`,
    );
    clearInterval(tick);
    const frames = [60, 1514, 4000, 9230].map((len, i) => Buffer.from(numbered(i + 1, len)));
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.write(Buffer.concat(frames.map(framed)));
      const seen = (): Buffer[] => unframed(to.stdoutBytes).filter((frame) => frame.readUInt32BE(14) > 0);
      await until(
        () => seen().length === frames.length,
        5000,
        () => `${seen().length} frames`,
      );
      t.deepEqual(seen(), frames);
    }
    t.is((await a.stop()).code, 0);
  });

for (const [name, first, second, suffix] of [
  ['ours, ours', PLUG, PLUG, ''],
  ["ours, Debian's", PLUG, DEBIAN, ''],
  ["Debian's, ours", DEBIAN, PLUG, ''],
  ['ours, ours, packets', PLUG, PLUG, '[packets]'],
] as const)
  test(`ptp:// (${name}): frames both ways, the other goes and comes back, a third is refused`, async (t, bench) => {
    const url = `ptp://${bench.path('p')}`;
    const a = bench.start([...first, first === PLUG ? `${url}${suffix}` : url]);
    await until(
      () => existsSync(bench.path('p')),
      5000,
      () => `waits: ${a.stderr}`,
    );
    const talk = async (b: typeof a): Promise<void> => {
      const frames = [60, 9230].map((len, i) => Buffer.from(numbered(i, len)));
      for (const [from, to] of [
        [b, a],
        [a, b],
      ] as const) {
        const before = unframed(to.stdoutBytes).length;
        from.write(framed(frames[0]!));
        await until(
          () => unframed(to.stdoutBytes).length === before + 1,
          5000,
          () => `a frame: ${a.stderr}${b.stderr}`,
        );
        from.write(framed(frames[1]!));
        await until(() => unframed(to.stdoutBytes).length === before + 2, 5000, 'a long frame');
        t.deepEqual(unframed(to.stdoutBytes).slice(before), frames);
      }
    };
    const b = bench.start([...second, url]);
    await talk(b);
    const third = bench.start([...PLUG, url]);
    t.is((await third.exited).code, 1);
    t.regex(third.stderr, /cannot join the ptp link .*two others use it already/);
    if (first === PLUG) {
      b.end();
      t.is((await b.exited).code, 0);
      const alone = (): boolean => a.stderr.includes(': down') && existsSync(bench.path('p'));
      await until(alone, 5000, 'waits again');
      const again = bench.start([...second, url]);
      await talk(again);
      await again.stop();
    }
    await a.stop();
    if (first === PLUG && second === PLUG)
      t.deepEqual(
        readdirSync(bench.dir).filter((each) => each.startsWith('p')),
        [],
      );
  });

/** What a plug gives and takes by standard input and output, beside two peers: Debian's vde_plug and a station. */
for (const [name, program] of [
  ['ours', PLUG],
  ["Debian's", DEBIAN],
] as const)
  for (const scheme of ['switch', 'hub', 'multi', 'bonding'] as const)
    test(`${scheme}:// (${name}) with Debian's plug and a station`, async (t, bench) => {
      const dir = bench.path('node');
      const node = bench.start([...program, `${scheme}://${dir}`]);
      await until(
        () => listens(`${dir}/ctl`),
        8000,
        () => `listens: ${node.stderr}`,
      );
      const peer = bench.start(['vde_plug', dir]);
      const station = await bench.station(dir);
      const heard = {
        node: () => unframed(node.stdoutBytes).map((frame) => frame.readUInt32BE(14)),
        peer: () => unframed(peer.stdoutBytes).map((frame) => frame.readUInt32BE(14)),
        station: () => station.heard.numbers,
      };
      // Debian's vde_plug joins when it likes: what it says is heard once it has.
      let hello = 1000;
      const joined = (): boolean => heard.node().some((n) => n > 1000 && n < 5000);
      await until(
        () => {
          if (!joined()) peer.write(framed(numbered(++hello)));
          return joined();
        },
        8000,
        () => `the peer joins: ${peer.stderr}`,
      );
      const frames = (first: number): Uint8Array[] => [0, 1, 2, 3].map((i) => numbered(first + i, 60 + 300 * i));
      const four = (first: number): number[] => [0, 1, 2, 3].map((i) => first + i);
      const of = (list: number[], first: number): number[] => list.filter((n) => n >= first && n < first + 4);
      const all = scheme === 'hub' || scheme === 'switch';

      node.write(Buffer.concat(frames(10).map(framed)));
      const both = (): number[] => [...of(heard.peer(), 10), ...of(heard.station(), 10)].sort((a, b) => a - b);
      const expected = scheme === 'bonding' ? four(10) : four(10).flatMap((n) => [n, n]);
      await until(
        () => both().length >= expected.length,
        8000,
        () => `from the node: ${both()}`,
      );
      t.deepEqual(both(), expected);
      if (scheme === 'bonding') t.deepEqual([of(heard.peer(), 10).length, of(heard.station(), 10).length], [2, 2]);

      send(station, ...frames(20));
      await until(() => of(heard.node(), 20).length === 4, 8000, 'from the station to the node');
      if (all) await until(() => of(heard.peer(), 20).length === 4, 8000, 'from the station to the peer');
      peer.write(Buffer.concat(frames(30).map(framed)));
      await until(() => of(heard.node(), 30).length === 4, 8000, 'from the peer to the node');
      if (all) await until(() => of(heard.station(), 30).length === 4, 8000, 'from the peer to the station');
      t.deepEqual([of(heard.node(), 20), of(heard.node(), 30)], [four(20), four(30)]);
      t.deepEqual([of(heard.peer(), 20), of(heard.station(), 30)], all ? [four(20), four(30)] : [[], []]);
      if (program !== PLUG) return;
      node.end();
      t.is((await node.exited).code, 0);
      t.is((await peer.exited).code, 0, 'the peer hears of the end');
      t.false(existsSync(dir), 'the directory goes with the plug');
    });

test('as a login shell nothing but vde_plug is done', async (t, bench) => {
  for (const command of ['ls', 'vde_plug /tmp/x', 'vde_plug; ls', 'vde_plug cmd://sh', '/usr/bin/vde_plug']) {
    const plug = bench.start([...PLUG, '-c', command]);
    t.is((await plug.exited).code, 255, command);
    t.regex(plug.stderr, /not a login shell/);
    t.is(plug.stdout, '');
  }
  const one = await bench.switch('one');
  mkdirSync(bench.path('.vdeplug'));
  symlinkSync(one, bench.path('.vdeplug/default'));
  const station = await bench.station(one);
  const plug = bench.start([...PLUG, '-c', 'vde_plug'], { SSH_CLIENT: '192.0.2.7 5000 22' });
  plug.write(framed(numbered(1)));
  await until(
    () => station.heard.frames.length === 1,
    5000,
    () => `a frame: ${plug.stderr}`,
  );
  plug.end();
  t.is((await plug.exited).code, 0);
});

test('in the background: returns when the cable is there, SIGTERM leaves nothing', async (t, bench) => {
  const [one, two] = [await bench.switch('one'), await bench.switch('two')];
  const pidfile = bench.path('pid');
  for (const words of [
    [one, two],
    [one, '=', 'vde_plug', two],
  ]) {
    const start = bench.start([...PLUG, '-d', '-p', pidfile, ...words]);
    t.is((await start.exited).code, 0, start.stderr);
    const pid = Number(readFileSync(pidfile, 'utf8'));
    await connected(t, await bench.station(one), await bench.station(two), words.join(' '));
    process.kill(pid, 'SIGTERM');
    await until(() => !isRunning(pid), 3000, 'it ends');
    t.false(existsSync(pidfile));
  }
  const failed = bench.start([...PLUG, '-d', bench.path('none'), two]);
  t.is((await failed.exited).code, 1);
  t.regex(failed.stderr, /none listens/);
});

for (const kind of ['debian', 'embedded'] as const) {
  const suite = new Suite('our plugs', kind, { guests: 0 });
  for (const [name, words] of [
    ['vde_plug2tap', (ctl: string) => [...ours('vde_plug2tap'), '-s', ctl, 'tap0']],
    ['vde_plug URL tap://', (ctl: string) => [...PLUG, ctl, 'tap://tap0']],
  ] as const)
    suite.test(`${name}: a guest gets an address and answers`, [], async (t, lab) => {
      const guest = await lab.addGuest(false);
      await guest.join(lab.ctl, words(lab.ctl));
      t.regex(await guest.dhcp(), /^10\.0\.2\.\d+\/24$/);
      t.is((await guest.run(['ping', '-n', '-c', '2', '-i', '0.2', '-W', '15', '10.0.2.2'])).code, 0);
      await guest.leave();
      t.not((await guest.run(['ip', 'link', 'show', 'tap0'])).code, 0, 'the interface is gone');
    });
  suite.end();
}
