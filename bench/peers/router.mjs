// Router benchmark: peers side by side, interleaved, in throw-away namespaces.
// Run it through bench.sh.  See README.md for options and output.
import fs from 'node:fs';
import path from 'node:path';
import {
  alive,
  args,
  cpuAll,
  cpuOf,
  cpuPressure,
  have,
  hwmOf,
  must,
  netns,
  nowNs,
  probe,
  Results,
  rssOf,
  run,
  sleep,
  start,
  stop,
  sysctl,
  table,
  tool,
  withLock,
  words,
  workDir,
} from './lib.mjs';

const o = args({
  peers: 'knat,vdeknat,slirpvde,vdeslirp,vdeslirp-direct,slirp4netns,pasta,qemu-user',
  groups: 'tcp,tcpbig,lat,fwd,udp,dns,flows1000,flows9000',
  rounds: '3',
  secs: '2',
  out: '',
  base: '',
  verbose: false,
});
const SECS = Number(o.secs),
  ROUNDS = Number(o.rounds);
const GUEST = '10.0.2.15',
  GW = '10.0.2.2',
  DNS = '10.0.2.3',
  OUT = '198.51.100.2',
  WORLD = '198.51.100.1';
// groups `tcp6` and `udp6`: guest and servers have IPv6 too, and the router NAT64
const GUEST6 = '2001:db8:2::15',
  GW6 = '2001:db8:2::1',
  OUT6 = '2001:db8:99::2',
  WORLD6 = '2001:db8:99::1',
  OUT64 = '64:ff9b::198.51.100.2';
const FAMILY_TURNS = 3;
const PORT = 9000,
  IPERF = 5201;
const FWD = { iperf: 7001, echo: 7002, one: 7003 };
const NL = tool('netload');

// commands; the product's come from the environment
const CMD = {
  vdeSwitch: words(process.env.DEBIAN_VDE_SWITCH || 'vde_switch'),
  slirpvde: words(process.env.DEBIAN_SLIRPVDE || 'slirpvde'),
  plug: words(process.env.VDE_PLUG || 'vde_plug'),
  ourRouter: words(process.env.SLIRPVDE || ''),
  against: words(process.env.SLIRPVDE_AGAINST || ''),
  ourRouterArgs: words(process.env.SLIRPVDE_ARGS || ''),
  ourSwitch: words(process.env.VDE_SWITCH || ''),
  ourPlug: words(process.env.VDE_PLUG2TAP || ''), // run as: $VDE_PLUG2TAP -s CTL tap0
};

let seq = 0;
// ---- guest link over a VDE switch
async function vdeLink(c, switchCmd, { plugCmd, instead } = {}) {
  c.ctl = path.join(workDir, `s${seq++}`);
  if (switchCmd) {
    c.sw = start([...switchCmd, '-s', c.ctl, '-m', '700'], { ns: c.world, log: `switch${seq++}.log` });
    c.roles.switch.push(c.sw);
  } else c.roles.router.push(instead(c)); // the router is the switch too
  await until(() => fs.existsSync(path.join(c.ctl, 'ctl')), 5000, 'switch control socket');
  c.plugIn = (ns) => plugIn(c, ns, plugCmd);
  await c.plugIn(c.guest);
  c.dev = 'tap0';
}
/** A TAP interface tap0 in a namespace, plugged into the case's switch. */
async function plugIn(c, ns, plugCmd) {
  const cmd = plugCmd ? [...plugCmd, '-s', c.ctl, 'tap0'] : [...CMD.plug, `vde://${c.ctl}`, 'tap://tap0'];
  c.roles.plug.push(start(cmd, { ns, log: `plug${seq++}.log` }));
  await until(() => ifaceIs(ns, 'tap0'), 5000, 'tap0 in the guest');
  await must(['ip', 'link', 'set', 'tap0', 'up', 'mtu', String(c.mtu)], { ns });
}
async function ifaceIs(ns, dev, re) {
  const r = await run(['ip', '-d', 'link', 'show', 'dev', dev], { ns });
  return r.code === 0 && (!re || re.test(r.out));
}
async function until(f, ms, what) {
  const end = Date.now() + ms;
  for (;;) {
    if (await f()) return;
    if (Date.now() > end) throw new Error(`timed out: ${what}`);
    await sleep(5);
  }
}
// Debian's slirpvde dies of SIGPIPE when a host peer closes early: ignore the signal for it
const noPipe = ['sh', '-c', 'trap "" PIPE; exec "$@"', 'sh'];
const BOTH = ['-H', '10.0.2.2/24', '-H', `${GW6}/64`];
const slirpFwd = () => [
  '-L',
  `${FWD.iperf}:${GUEST}:${IPERF}`,
  '-L',
  `${FWD.echo}:${GUEST}:${PORT}`,
  '-L',
  `${FWD.one}:${GUEST}:${PORT + 1}`,
];
const libFwd = () =>
  `tcpfwd=${FWD.iperf}:${GUEST}:${IPERF},${FWD.echo}:${GUEST}:${PORT},${FWD.one}:${GUEST}:${PORT + 1}`;

// ---- kernel NAT on a device of the world namespace
async function kernelNat(c, dev) {
  await must(['ip', 'addr', 'add', `${GW}/24`, 'dev', dev], { ns: c.world });
  await must(['ip', 'link', 'set', dev, 'up', 'mtu', String(c.mtu)], { ns: c.world });
  await sysctl(c.world, { 'net.ipv4.ip_forward': 1 });
  await must(['nft', '-f', '-'], {
    ns: c.world,
    input: `table ip nat {
      chain post {
        type nat hook postrouting priority 100;
        oifname "w0" masquerade
      }
      chain pre {
        type nat hook prerouting priority -100;
        iifname "w0" tcp dport ${FWD.iperf} dnat to ${GUEST}:${IPERF}
        iifname "w0" tcp dport ${FWD.echo} dnat to ${GUEST}:${PORT}
        iifname "w0" tcp dport ${FWD.one} dnat to ${GUEST}:${PORT + 1}
      }
    }\n`,
  });
}
function dnsmasq(c, dev) {
  return start(
    [
      'dnsmasq',
      '-k',
      '--conf-file=/dev/null',
      '-u',
      'root',
      '-p',
      '53',
      `--interface=${dev}`,
      '--bind-interfaces',
      '--no-resolv',
      `--server=${OUT}`,
      '--no-hosts',
      '--no-ping',
      `--dhcp-range=${GUEST},10.0.2.40`,
      '--dhcp-authoritative',
      `--dhcp-leasefile=${workDir}/leases${seq++}`,
      '--pid-file',
      '--dns-forward-max=2000',
    ],
    { ns: c.world, log: 'dnsmasq.log' },
  );
}

/** The router under test: on a switch, or as its own switch where that is null. */
function ours(command, switchCmd) {
  const router = (c) =>
    start([...command, '-s', c.ctl, '-D', ...(c.ipv6 ? BOTH : []), ...slirpFwd(), ...CMD.ourRouterArgs], {
      ns: c.world,
      log: `router${seq++}.log`,
    });
  const plugCmd = CMD.ourPlug.length ? CMD.ourPlug : undefined;
  return {
    command,
    plugs: true,
    needs: switchCmd ? [switchCmd[0], CMD.plug[0]] : [CMD.plug[0]],
    ipv6: true,
    bigMtu: switchCmd ? 0 : Number(process.env.SLIRPVDE_BIGMTU || 0),
    dns: DNS,
    prepare: (c) => vdeLink(c, switchCmd, { plugCmd, instead: router }),
    async spawn(c) {
      if (switchCmd) c.roles.router.push(router(c));
    },
  };
}

/** The router under test with a TAP interface that it makes in the guest's namespace, as slirp4netns does. */
function oursTap(command) {
  return {
    command,
    needs: [],
    ipv6: true,
    bigMtu: 65520,
    dns: DNS,
    configures: true,
    async prepare(c) {
      c.dev = 'tap0';
    },
    async spawn(c) {
      const tap = ['--netns', String(c.guest), '--tap', 'tap0', '--configure', '--mtu', String(c.mtu)];
      c.roles.router.push(
        start([...command, ...tap, '-D', ...(c.ipv6 ? BOTH : []), ...slirpFwd(), ...CMD.ourRouterArgs], {
          ns: c.world,
          log: `router${seq++}.log`,
        }),
      );
    },
  };
}

// ---- the peers: prepare() brings up the link, spawn() starts what answers DHCP
const PEERS = {
  knat: {
    needs: ['nft', 'dnsmasq'],
    bigMtu: 65520,
    dns: GW,
    async prepare(c) {
      await must(['ip', 'link', 'add', 'g0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(c.guest)], {
        ns: c.world,
      });
      await must(['ip', 'link', 'set', 'eth0', 'up', 'mtu', String(c.mtu)], { ns: c.guest });
      await kernelNat(c, 'g0');
      c.dev = 'eth0';
    },
    async spawn(c) {
      c.roles.router.push(dnsmasq(c, 'g0'));
    },
  },
  vdeknat: {
    plugs: true,
    // kernel NAT, but the guest reaches it over Debian's switch: the link's own ceiling
    needs: ['nft', 'dnsmasq', CMD.vdeSwitch[0], CMD.plug[0]],
    bigMtu: 0,
    dns: GW,
    async prepare(c) {
      await vdeLink(c, CMD.vdeSwitch);
      c.roles.plug.push(start([...CMD.plug, `vde://${c.ctl}`, 'tap://g0'], { ns: c.world, log: `plug${seq++}.log` }));
      await until(() => ifaceIs(c.world, 'g0'), 5000, 'g0');
      await kernelNat(c, 'g0');
    },
    async spawn(c) {
      c.roles.router.push(dnsmasq(c, 'g0'));
    },
  },
  slirpvde: {
    plugs: true,
    needs: [CMD.vdeSwitch[0], CMD.plug[0], CMD.slirpvde[0]],
    bigMtu: 0,
    dns: DNS,
    prepare: (c) => vdeLink(c, CMD.vdeSwitch),
    async spawn(c) {
      c.roles.router.push(
        start([...noPipe, ...CMD.slirpvde, '-s', c.ctl, '-D', ...slirpFwd()], {
          ns: c.world,
          log: `router${seq++}.log`,
        }),
      );
    },
  },
  vdeslirp: {
    plugs: true,
    needs: [CMD.vdeSwitch[0], CMD.plug[0]],
    bigMtu: 0,
    dns: DNS,
    prepare: (c) => vdeLink(c, CMD.vdeSwitch),
    async spawn(c) {
      c.roles.router.push(
        start([...CMD.plug, `vde://${c.ctl}`, `slirp:///mtu=${c.mtu}/mru=${c.mtu}/${libFwd()}`], {
          ns: c.world,
          log: `router${seq++}.log`,
        }),
      );
    },
  },
  'vdeslirp-direct': {
    // libslirp straight on the TAP, no switch between
    needs: [CMD.plug[0]],
    bigMtu: 9000,
    dns: DNS,
    async prepare(c) {
      await must(['ip', 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap'], { ns: c.world });
      c.dev = 'tap0';
      c.moveTap = true;
    },
    async spawn(c) {
      c.roles.router.push(
        start([...CMD.plug, 'tap://tap0', `slirp:///mtu=${c.mtu}/mru=${c.mtu}/${libFwd()}`], {
          ns: c.world,
          log: `router${seq++}.log`,
        }),
      );
    },
  },
  slirp4netns: {
    needs: ['slirp4netns'],
    bigMtu: 65520,
    dns: DNS,
    guest: '10.0.2.100',
    async prepare(c) {
      c.dev = 'tap0';
    },
    async spawn(c) {
      c.api = path.join(workDir, `api${seq++}`);
      c.roles.router.push(
        start(
          [
            'slirp4netns',
            '--configure',
            `--mtu=${c.mtu}`,
            `--api-socket=${c.api}`,
            '--netns-type=path',
            `/proc/${c.guest}/ns/net`,
            'tap0',
          ],
          { ns: c.world, log: `router${seq++}.log` },
        ),
      );
    },
    async after(c) {
      await until(() => fs.existsSync(c.api), 3000, 'api socket');
      const net = await import('node:net');
      for (const [h, g] of [
        [FWD.iperf, IPERF],
        [FWD.echo, PORT],
        [FWD.one, PORT + 1],
      ]) {
        await new Promise((r) => {
          const s = net.connect(c.api, () =>
            s.end(
              JSON.stringify({
                execute: 'add_hostfwd',
                arguments: {
                  proto: 'tcp',
                  host_addr: '0.0.0.0',
                  host_port: h,
                  guest_addr: '10.0.2.100',
                  guest_port: g,
                },
              }),
            ),
          );
          s.on('data', () => {});
          s.on('close', r);
          s.on('error', r);
        });
      }
    },
  },
  pasta: {
    needs: ['pasta'],
    bigMtu: 65520,
    dns: DNS,
    guest: WORLD,
    gw: OUT,
    async prepare(c) {
      c.dev = 'w0';
    },
    async spawn(c) {
      c.nsFile = path.join(workDir, `ns${seq++}`); // it drops the right to open /proc/PID/ns
      fs.writeFileSync(c.nsFile, '');
      await must(['mount', '--bind', `/proc/${c.guest}/ns/net`, c.nsFile]);
      c.roles.router.push(
        start(
          [
            'pasta',
            '-f',
            '-q',
            '-4',
            '--runas',
            '0',
            '--config-net',
            '--mtu',
            String(c.mtu),
            '-g',
            OUT,
            '--no-map-gw',
            '--dns-forward',
            DNS,
            '-t',
            `${FWD.iperf}:${IPERF},${FWD.echo}:${PORT},${FWD.one}:${PORT + 1}`,
            '-u',
            'none',
            '-T',
            'none',
            '-U',
            'none',
            '--netns-only',
            '--netns',
            c.nsFile,
          ],
          { ns: c.world, log: `router${seq++}.log` },
        ),
      );
    },
  },
  'qemu-user': {
    // QEMU's user network bridged to a TAP by its hub; no virtual machine
    needs: ['qemu-system-x86_64'],
    bigMtu: 0,
    dns: DNS,
    async prepare(c) {
      await must(['ip', 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap'], { ns: c.world });
      c.dev = 'tap0';
      c.moveTap = true;
    },
    async spawn(c) {
      const h = [
        [FWD.iperf, IPERF],
        [FWD.echo, PORT],
        [FWD.one, PORT + 1],
      ]
        .map(([a, b]) => `,hostfwd=tcp::${a}-${GUEST}:${b}`)
        .join('');
      c.roles.router.push(
        start(
          [
            'qemu-system-x86_64',
            '-M',
            'none',
            '-nodefaults',
            '-display',
            'none',
            '-monitor',
            'none',
            '-serial',
            'none',
            '-netdev',
            `user,id=u0${h}`,
            '-netdev',
            'tap,id=t0,ifname=tap0,script=no,downscript=no',
            '-netdev',
            'hubport,id=h0,hubid=0,netdev=u0',
            '-netdev',
            'hubport,id=h1,hubid=0,netdev=t0',
          ],
          { ns: c.world, log: `router${seq++}.log` },
        ),
      );
    },
  },
  ours: ours(CMD.ourRouter, CMD.ourSwitch.length ? CMD.ourSwitch : CMD.vdeSwitch), // on its own switch
  'ours-embedded': ours(CMD.ourRouter, null), // router and switch in one process
  'ours-tap': oursTap(CMD.ourRouter), // its own TAP in the guest's namespace
  'against-tap': oursTap(CMD.against),
  'ours-debian-switch': ours(CMD.ourRouter, CMD.vdeSwitch), // same link as slirpvde
  'against-embedded': ours(CMD.against, null), // another build of it
  'against-debian-switch': ours(CMD.against, CMD.vdeSwitch),
};

// ---- one peer up, configured and answering
async function up(name, mtu, ipv6) {
  const P = PEERS[name];
  const c = {
    name,
    P,
    mtu,
    ipv6,
    roles: { router: [], switch: [], plug: [] },
    kids: [],
    guestAddr: P.guest || GUEST,
    gw: P.gw || GW,
    dns: P.dns,
    out: OUT,
  };
  try {
    const [g, w, s] = await Promise.all([netns(), netns(), netns()]);
    c.holders = [g, w, s];
    c.guest = g.pid;
    c.world = w.pid;
    c.srv = s.pid;
    for (const ns of [c.guest, c.world, c.srv]) {
      await sysctl(ns, {
        'net.ipv4.ip_local_port_range': '1024 64999',
        'net.ipv4.tcp_tw_reuse': 1,
        'net.ipv4.ping_group_range': '0 2147483647',
        'net.ipv6.conf.all.disable_ipv6': ipv6 || process.env.BENCH_IPV6 ? 0 : 1,
        'net.ipv4.tcp_fin_timeout': 5,
      });
    }
    // world <-> servers
    await must(['ip', 'link', 'add', 'w0', 'type', 'veth', 'peer', 'name', 'e0', 'netns', String(c.srv)], {
      ns: c.world,
    });
    await must(
      ['sh', '-c', `ip addr add ${WORLD}/24 dev w0 && ip link set w0 mtu 65520 up && ip route add default via ${OUT}`],
      { ns: c.world },
    );
    await must(
      ['sh', '-c', `ip addr add ${OUT}/24 dev e0 && ip link set e0 mtu 65520 up && ip route add default via ${WORLD}`],
      { ns: c.srv },
    );
    if (ipv6) {
      await must(['ip', 'addr', 'add', `${WORLD6}/64`, 'dev', 'w0', 'nodad'], { ns: c.world });
      await must(['ip', 'addr', 'add', `${OUT6}/64`, 'dev', 'e0', 'nodad'], { ns: c.srv });
    }
    // the nameserver the router finds
    c.kids.push(
      start(['iperf3', '-s', '-p', String(IPERF)], { ns: c.srv }),
      start([NL, 'server', String(PORT)], { ns: c.srv, log: 'srv.log' }),
    );
    c.kids.push(
      start(['iperf3', '-s', '-p', String(IPERF)], { ns: c.guest }),
      start([NL, 'server', String(PORT)], { ns: c.guest, log: 'srv.log' }),
    );
    await P.prepare(c);
    const wait = probe([NL, 'dhcpwait', c.dev, '6000'], { ns: c.guest, ms: 8000 });
    await sleep(60);
    const t0 = nowNs();
    await P.spawn(c);
    if (c.moveTap) {
      // wait for the owner to attach, then hand the interface to the guest
      await until(() => ifaceIs(c.world, c.dev, /tap|tun/) && tapBusy(c, c.dev), 3000, 'tap attach');
      await must(['ip', 'link', 'set', c.dev, 'netns', String(c.guest)], { ns: c.world });
      await must(['ip', 'link', 'set', c.dev, 'up', 'mtu', String(c.mtu)], { ns: c.guest });
    }
    const d = await wait;
    c.startupMs = d.t_ns ? (d.t_ns - t0) / 1e6 : NaN;
    c.startupError = d.error;
    c.lease = d.addr;
    // guest address, unless the peer configured it
    if (!['slirp4netns', 'pasta'].includes(name) && !P.configures) {
      await must(['sh', '-c', `ip addr add ${GUEST}/24 dev ${c.dev} && ip route add default via ${GW}`], {
        ns: c.guest,
      });
    } else {
      await until(
        async () => /inet /.test((await run(['ip', '-4', 'addr', 'show', 'dev', c.dev], { ns: c.guest })).out),
        3000,
        'guest address',
      );
    }
    if (ipv6) {
      await must(
        [
          'sh',
          '-c',
          `ip addr add ${GUEST6}/64 dev ${c.dev} nodad && ip -6 route replace default via ${GW6} dev ${c.dev}`,
        ],
        { ns: c.guest },
      );
    }
    if (P.after) await P.after(c);
    for (const r of c.roles.router)
      if (!alive(r))
        throw new Error(`router ended: ${r.failed || (r.logFile && fs.readFileSync(r.logFile, 'utf8').slice(-300))}`);
    let ok;
    for (let i = 0; i < 10; i++) {
      ok = await probe([NL, 'pingpong', c.out, String(PORT), '0.25'], { ns: c.guest, ms: 5000 });
      if (!ok.error) break;
      await sleep(100);
    }
    if (ok.error) throw new Error(`no TCP through the router: ${ok.error}`);
    return c;
  } catch (e) {
    const logs = [...c.roles.router, ...c.roles.plug, ...c.roles.switch]
      .filter((p) => p.logFile)
      .map((p) => {
        try {
          return fs.readFileSync(p.logFile, 'utf8').trim().slice(-200);
        } catch {
          return '';
        }
      })
      .filter(Boolean);
    await down(c);
    throw new Error(`${e.message}${logs.length ? ` [log: ${[...new Set(logs)].join(' | ')}]` : ''}`);
  }
}
function tapBusy(c, dev) {
  // attached when the interface has a carrier once it is up
  return run(['sh', '-c', `ip link set ${dev} up; cat /proc/net/dev >/dev/null; ip link show ${dev}`], {
    ns: c.world,
  }).then((r) => /LOWER_UP/.test(r.out));
}
async function down(c) {
  for (const p of [...c.roles.router, ...c.roles.plug, ...c.roles.switch, ...c.kids]) await stop(p, 700);
  if (c.nsFile) await run(['umount', c.nsFile]);
  for (const h of c.holders || []) await stop(h, 700);
}
const pidsOf = (c, ...roles) =>
  roles
    .flatMap((r) => c.roles[r])
    .filter(alive)
    .map((p) => p.pid);

// measure f with CPU taken by the router, by the whole path, and by the machine
async function metered(c, f) {
  const r0 = cpuOf(pidsOf(c, 'router')),
    p0 = cpuOf(pidsOf(c, 'router', 'switch', 'plug')),
    a0 = cpuAll();
  const v = await f();
  if (!c.roles.router.every(alive))
    return [
      { ...v, error: v.error || 'the router ended' },
      { cpu_router: NaN, cpu_path: NaN, cpu_all: NaN },
    ];
  return [
    v,
    {
      cpu_router: cpuOf(pidsOf(c, 'router')) - r0,
      cpu_path: cpuOf(pidsOf(c, 'router', 'switch', 'plug')) - p0,
      cpu_all: cpuAll() - a0,
    },
  ];
}

// ---- measurements; each yields rows {metric, unit, value, ...}
async function iperf(c, { from, host, port = IPERF, streams = 1, reverse = false, secs = SECS }) {
  const [r, cpu] = await metered(c, async () => {
    const x = await run(
      [
        'iperf3',
        '-J',
        '-c',
        host,
        '-p',
        String(port),
        '-t',
        String(secs),
        '-O',
        '0',
        '-P',
        String(streams),
        ...(reverse ? ['-R'] : []),
      ],
      { ns: from, ms: (secs + 8) * 1000 },
    );
    if (x.timedOut) return { error: 'timed out' };
    try {
      const j = JSON.parse(x.out);
      if (j.error) return { error: j.error };
      return {
        bps: j.end.sum_received.bits_per_second,
        bytes: j.end.sum_received.bytes,
        retr: j.end.sum_sent.retransmits,
      };
    } catch {
      return { error: (x.err || x.out).slice(0, 160) };
    }
  });
  return { ...r, ...cpu };
}
function tcpRows(metric, r) {
  if (r.error) return [{ metric, unit: 'Gbit/s', value: NaN, error: r.error }];
  const gb = r.bytes / 1e9;
  return [
    { metric, unit: 'Gbit/s', value: r.bps / 1e9, retransmits: r.retr, bytes: r.bytes },
    { metric: `${metric} router cpu`, unit: 's/GB', value: r.cpu_router / gb },
    { metric: `${metric} path cpu`, unit: 's/GB', value: r.cpu_path / gb },
    { metric: `${metric} machine cpu`, unit: 's/GB', value: r.cpu_all / gb },
  ];
}
async function tcpSet(c, tag, streamsList) {
  const rows = [];
  for (const n of streamsList) {
    for (const rev of [false, true]) {
      rows.push(
        ...tcpRows(
          `tcp${tag} ${rev ? 'host>guest' : 'guest>host'} ${n} stream${n > 1 ? 's' : ''}`,
          await iperf(c, { from: c.guest, host: c.out, streams: n, reverse: rev }),
        ),
      );
      await settle(c);
    }
  }
  rows.push(
    { metric: `rss router after tcp${tag}`, unit: 'MiB', value: rssOf(pidsOf(c, 'router')) / 1024 },
    { metric: `rss router peak tcp${tag}`, unit: 'MiB', value: hwmOf(pidsOf(c, 'router')) / 1024 },
  );
  return rows;
}
// an aborted iperf3 leaves its server busy; wait or restart it
async function settle(c) {
  for (const i of [0, 2])
    if (!alive(c.kids[i])) c.kids[i] = start(['iperf3', '-s', '-p', String(IPERF)], { ns: i ? c.guest : c.srv });
  await sleep(150);
}
async function ping(c, host, metric) {
  const r = await run(['ping', '-n', '-q', '-c', '300', '-i', '0.003', '-W', '1', host], { ns: c.guest, ms: 6000 });
  const m = /= ([\d.]+)\/([\d.]+)\/([\d.]+)/.exec(r.out),
    l = /([\d.]+)% packet loss/.exec(r.out);
  return [
    {
      metric,
      unit: 'us mean',
      value: m ? Number(m[2]) * 1000 : NaN,
      loss: l ? Number(l[1]) : undefined,
      error: m ? undefined : 'no replies',
    },
  ];
}
const lat = (metric, r) =>
  r.error
    ? [{ metric: `${metric} p50`, unit: 'us', value: NaN, error: r.error }]
    : [
        { metric: `${metric} p50`, unit: 'us', value: r.p50_us, n: r.n, lost: r.lost },
        { metric: `${metric} p99`, unit: 'us', value: r.p99_us },
      ];
const rate = (metric, unit, r, cpu) =>
  r.error
    ? [{ metric, unit, value: NaN, error: r.error }]
    : [
        {
          metric,
          unit,
          value: r.per_s,
          p50_us: r.p50_us,
          p99_us: r.p99_us,
          errors: r.errors,
          lost: r.lost,
          bad: r.bad,
        },
        ...(cpu && r.n
          ? [{ metric: `${metric} router cpu`, unit: 'us each', value: (cpu.cpu_router * 1e6) / r.n }]
          : []),
      ];

async function udpLadder(c, dir, size) {
  const rows = [],
    cmd = dir === 'guest>host' ? 'udpsend' : 'udprecv';
  const one = (pps, secs) =>
    probe([NL, cmd, c.out, String(PORT), String(size), String(pps), String(secs)], { ns: c.guest, ms: 9000 });
  let best = 0,
    err;
  for (const pps of [5000, 10000, 20000, 35000, 50000, 75000, 100000, 150000]) {
    const r = await one(pps, 0.4);
    if (r.error) {
      err = r.error;
      break;
    }
    if (r.reported && r.loss <= 0.01 && r.offered_pps > pps * 0.8) best = Math.max(best, r.pps);
    else if (!r.reported || r.loss > 0.05) break;
    if (r.offered_pps < pps * 0.8) break;
  }
  rows.push({ metric: `udp ${size}B ${dir} <=1% loss`, unit: 'pps', value: err && !best ? NaN : best, error: err });
  const [b, cpu] = await metered(c, () => one(0, 1));
  rows.push({
    metric: `udp ${size}B ${dir} flood`,
    unit: 'pps',
    value: b.error ? NaN : b.pps,
    offered: b.offered_pps,
    loss: b.loss,
    reported: b.reported,
    error: b.error,
  });
  if (!b.error && b.got)
    rows.push({
      metric: `udp ${size}B ${dir} flood router cpu`,
      unit: 'us each',
      value: (cpu.cpu_router * 1e6) / b.got,
    });
  return rows;
}
/** IPv4, IPv6 and NAT64 in turn through one router: what `one` measures, and the other two beside IPv4 of the same turn. */
async function families(what, unit, one) {
  const rows = [];
  const ways = { ipv4: OUT, ipv6: OUT6, nat64: OUT64 };
  for (let turn = 0; turn < FAMILY_TURNS; turn++) {
    const got = {};
    const names = Object.keys(ways);
    for (const way of turn % 2 ? names.reverse() : names) {
      const r = await one(ways[way]);
      got[way] = r.error ? NaN : r.value;
      rows.push({ metric: `${what}, ${way}`, unit, value: got[way], error: r.error });
      if (r.cpu) rows.push({ metric: `${what}, ${way}, router cpu`, unit: r.cpuUnit, value: r.cpu });
    }
    for (const way of ['ipv6', 'nat64'])
      rows.push({ metric: `${what}, ${way} over ipv4`, unit: 'ratio', value: got[way] / got.ipv4 });
  }
  return rows;
}
const tcpByFamily = (c, reverse) =>
  families(`tcp ${reverse ? 'host>guest' : 'guest>host'} 1 stream`, 'Gbit/s', async (host) => {
    const r = await iperf(c, { from: c.guest, host, reverse });
    await settle(c);
    return r.error ? r : { value: r.bps / 1e9, cpu: (r.cpu_router * 1e9) / r.bytes, cpuUnit: 's/GB' };
  });
const udpByFamily = (c, dir) =>
  families(`udp 1200B ${dir} flood`, 'pps', async (host) => {
    const cmd = dir === 'guest>host' ? 'udpsend' : 'udprecv';
    const [r, cpu] = await metered(c, () =>
      probe([NL, cmd, host, String(PORT), '1200', '0', String(SECS)], { ns: c.guest, ms: 9000 }),
    );
    return r.error ? r : { value: r.pps, cpu: (cpu.cpu_router * 1e6) / r.got, cpuUnit: 'us each' };
  });
const connectionsByFamily = (c) =>
  families('tcp connections, 32 at once', '/s', async (host) => {
    const r = await probe([NL, 'connrate', host, String(PORT + 1), '32', String(SECS)], { ns: c.guest });
    return r.error ? r : { value: r.per_s };
  });
async function flowsAt(c, n) {
  const rows = [],
    tag = `${n} flows`;
  const rss0 = rssOf(pidsOf(c, 'router'));
  const p = start([NL, 'flows', c.out, String(PORT), String(n)], { ns: c.guest, log: `flows${seq}.log` });
  const file = path.join(workDir, `flows${seq++}.log`);
  const lines = () => {
    try {
      return fs
        .readFileSync(file, 'utf8')
        .split('\n')
        .filter(Boolean)
        .map((l) => {
          try {
            return JSON.parse(l);
          } catch {
            return { error: l };
          }
        });
    } catch {
      return [];
    }
  };
  try {
    await until(() => lines().length >= 1 || !alive(p), 45000, 'flows');
    const a = lines()[0] || { error: 'ended' };
    rows.push({ metric: `${tag} opened`, unit: 'flows', value: a.error ? NaN : a.open, error: a.error });
    if (!alive(c.roles.router[0])) {
      rows.push({ metric: `${tag} router alive`, unit: '1=yes', value: 0 });
      return rows;
    }
    rows.push({ metric: `${tag} router alive`, unit: '1=yes', value: 1 });
    if (a.error || !a.open) return rows;
    rows.push({ metric: `${tag} open rate`, unit: 'flows/s', value: a.open / a.secs });
    if (a.open < n * 0.98) return rows;
    const rss = rssOf(pidsOf(c, 'router'));
    rows.push(
      { metric: `${tag} rss router`, unit: 'MiB', value: rss / 1024 },
      { metric: `${tag} rss each`, unit: 'KiB', value: (rss - rss0) / a.open },
    );
    const cpu0 = cpuOf(pidsOf(c, 'router')),
      t0 = Date.now();
    await sleep(1000);
    rows.push({
      metric: `${tag} idle router cpu`,
      unit: '% of a core',
      value: ((cpuOf(pidsOf(c, 'router')) - cpu0) / ((Date.now() - t0) / 1000)) * 100,
    });
    p.stdin.write('ping 1000\n');
    await until(() => lines().length >= 2 || !alive(p), 8000, 'ping over flows');
    rows.push(...lat(`${tag} tcp rr`, lines()[1] || { error: 'ended' }));
    const up1 = await iperf(c, { from: c.guest, host: c.out });
    rows.push(...tcpRows(`${tag} tcp guest>host 1 stream`, up1).slice(0, 2));
    await settle(c);
    const dn1 = await iperf(c, { from: c.guest, host: c.out, reverse: true });
    rows.push(...tcpRows(`${tag} tcp host>guest 1 stream`, dn1).slice(0, 2));
  } catch (e) {
    rows.push({ metric: `${tag} opened`, unit: 'flows', value: NaN, error: e.message });
  } finally {
    await stop(p);
  }
  return rows;
}
/** All of n guests download, or upload, at once: the rate of all, and the least one's share of an equal part. */
async function guestsAt(c, n) {
  const guests = [];
  for (let i = 0; i < n; i++) {
    const holder = await netns();
    c.holders.push(holder);
    const ns = holder.pid;
    await sysctl(ns, { 'net.ipv6.conf.all.disable_ipv6': 1 });
    await c.plugIn(ns);
    await must(['sh', '-c', `ip addr add 10.0.2.${20 + i}/24 dev tap0 && ip route add default via ${c.gw}`], { ns });
    const port = IPERF + 100 + i;
    c.kids.push(start(['iperf3', '-s', '-p', String(port)], { ns: c.srv }));
    guests.push({ ns, port });
  }
  await sleep(300);
  const rows = [];
  for (const reverse of [false, true]) {
    const metric = `${n} guests, tcp ${reverse ? 'host>guest' : 'guest>host'}, all`;
    const [all, cpu] = await metered(c, async () => {
      const each = await Promise.all(guests.map(({ ns, port }) => iperf(c, { from: ns, host: c.out, port, reverse })));
      const bad = each.find((r) => r.error);
      if (bad) return { error: bad.error };
      const rates = each.map((r) => r.bps);
      const bps = rates.reduce((a, b) => a + b);
      return { bps, bytes: each.reduce((sum, r) => sum + r.bytes, 0), share: (Math.min(...rates) * n) / bps };
    });
    rows.push(...tcpRows(metric, { ...all, ...cpu }));
    if (!all.error) rows.push({ metric: `${metric}, least share`, unit: 'of 1/n', value: all.share });
  }
  return rows;
}
const G = {
  tcp: { mtu: () => 1500, run: (c) => tcpSet(c, '', [1, 8]) },
  tcpbig: { mtu: (P) => P.bigMtu, run: (c) => tcpSet(c, ` mtu ${c.mtu > 60000 ? '64k' : c.mtu}`, [1, 8]) },
  lat: {
    mtu: () => 1500,
    async run(c) {
      const rows = [];
      rows.push(...lat('tcp rr 1B', await probe([NL, 'pingpong', c.out, String(PORT), '1'], { ns: c.guest })));
      rows.push(...lat('udp rr 1B', await probe([NL, 'udppong', c.out, String(PORT), '1'], { ns: c.guest })));
      rows.push(...(await ping(c, c.gw, 'ping gateway')));
      rows.push(...(await ping(c, c.out, 'ping beyond')));
      for (const n of [1, 32]) {
        // short enough for a router with 1024 descriptors
        const r = await probe([NL, 'connrate', c.out, String(PORT + 1), String(n), '3', '300'], { ns: c.guest });
        rows.push(...rate(`tcp connections, first 300, ${n} at once`, '/s', r));
      }
      for (const n of [1, 32]) {
        const [r, cpu] = await metered(c, () =>
          probe([NL, 'connrate', c.out, String(PORT + 1), String(n), '1.5'], { ns: c.guest }),
        );
        rows.push(...rate(`tcp connections, ${n} at once`, '/s', r, cpu));
      }
      return rows;
    },
  },
  fwd: {
    mtu: () => 1500,
    async run(c) {
      const rows = [];
      for (const rev of [false, true]) {
        rows.push(
          ...tcpRows(
            `forward ${rev ? 'guest>outside' : 'outside>guest'} 1 stream`,
            await iperf(c, { from: c.srv, host: WORLD, port: FWD.iperf, reverse: rev }),
          ).slice(0, 2),
        );
        await settle(c);
      }
      rows.push(
        ...lat('forward tcp rr 1B', await probe([NL, 'pingpong', WORLD, String(FWD.echo), '1'], { ns: c.srv })),
      );
      rows.push(
        ...rate(
          'forward connections, 32 at once',
          '/s',
          await probe([NL, 'connrate', WORLD, String(FWD.one), '32', '2'], { ns: c.srv }),
        ),
      );
      return rows;
    },
  },
  udp: {
    mtu: () => 1500,
    async run(c) {
      const rows = [];
      for (const size of [64, 1400])
        for (const d of ['guest>host', 'host>guest']) rows.push(...(await udpLadder(c, d, size)));
      return rows;
    },
  },
  dns: {
    mtu: () => 1500,
    async run(c) {
      const rows = [];
      const q = (s, secs, re) =>
        metered(c, () => probe([NL, 'dns', c.dns, '53', String(s), String(secs), String(re)], { ns: c.guest }));
      let [r] = await q(1, 1, 0);
      rows.push(...lat('dns query', r));
      let cpu;
      [r, cpu] = await q(16, 1.5, 0);
      rows.push(...rate('dns, 16 sockets', 'queries/s', r, cpu));
      [r, cpu] = await q(16, 2, 1);
      rows.push(...rate('dns, new port per query', 'queries/s', r, cpu));
      return rows;
    },
  },
};
const mtu6 = (P) => (P.ipv6 ? 1500 : 0);
G.tcp6 = {
  mtu: mtu6,
  ipv6: true,
  run: async (c) => [
    ...(await tcpByFamily(c, false)),
    ...(await tcpByFamily(c, true)),
    ...(await connectionsByFamily(c)),
  ],
};
G.udp6 = {
  mtu: mtu6,
  ipv6: true,
  run: async (c) => [...(await udpByFamily(c, 'guest>host')), ...(await udpByFamily(c, 'host>guest'))],
};
for (const n of [1, 10, 100, 1000, 9000, 10000]) G[`flows${n}`] = { mtu: () => 1500, run: (c) => flowsAt(c, n) };
for (const n of [1, 4, 16]) G[`guests${n}`] = { mtu: (P) => (P.plugs ? 1500 : 0), run: (c) => guestsAt(c, n) };

// ---- main
const names = o.peers.split(',').filter((n) => {
  if (!PEERS[n]) throw new Error(`no such peer ${n}; known: ${Object.keys(PEERS).join(' ')}`);
  if (PEERS[n].command?.length === 0) {
    console.error(`${n}: set ${n.startsWith('ours') ? 'SLIRPVDE' : 'SLIRPVDE_AGAINST'} to the command of the router`);
    return false;
  }
  const miss = PEERS[n].needs.filter((p) => p && !have(p));
  if (miss.length) console.error(`skipping ${n}: not installed: ${miss.join(' ')}`);
  return !miss.length;
});
const res = new Results(o.out);
// routers read their nameserver from /etc/resolv.conf: give them ours, in our own mount namespace
fs.writeFileSync(path.join(workDir, 'resolv.conf'), `nameserver ${OUT}\n`);
await run([
  'sh',
  '-c',
  `mount --make-rprivate / && mount --bind ${workDir}/resolv.conf "$(readlink -f /etc/resolv.conf)"`,
]);
res.add({
  env: {
    date: new Date().toISOString(),
    cpus: (await import('node:os')).cpus().length,
    cpu: (await import('node:os')).cpus()[0].model,
    kernel: (await import('node:os')).release(),
    node: process.version,
    rounds: ROUNDS,
    secs: SECS,
    pinned: process.env.BENCH_CPUS || null,
    nofile: (/open files\s+(\d+)/.exec(fs.readFileSync('/proc/self/limits', 'utf8')) || [])[1],
    max_dgram_qlen: fs.readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8').trim(),
    peers: names,
  },
});
for (const g of o.groups.split(','))
  if (!G[g]) throw new Error(`no such group ${g}; known: ${Object.keys(G).join(' ')}`);
for (let round = 0; round < ROUNDS; round++) {
  for (const g of o.groups.split(',')) {
    const order = round % 2 ? [...names].reverse() : names; // A B B A cancels drift
    await withLock(async () => {
      for (const name of order) await oneCase(name, g, round);
    });
  }
}
async function oneCase(name, g, round) {
  const mtu = G[g].mtu(PEERS[name]);
  if (!mtu) return;
  const t0 = Date.now();
  let c,
    rows = [];
  try {
    c = await up(name, mtu, G[g].ipv6 ?? false);
    if (name !== 'vdeslirp-direct' && !name.endsWith('-embedded'))
      rows.push({ metric: 'start-up to DHCP offer', unit: 'ms', value: c.startupMs, error: c.startupError });
    await sleep(100);
    rows.push(
      { metric: 'rss router idle', unit: 'MiB', value: rssOf(pidsOf(c, 'router')) / 1024 },
      { metric: 'rss path idle', unit: 'MiB', value: rssOf(pidsOf(c, 'router', 'switch', 'plug')) / 1024 },
    );
    rows.push(...(await G[g].run(c)));
    const dead = c.roles.router.filter((p) => !alive(p));
    if (dead.length)
      rows.push({
        metric: `router survives ${g}`,
        unit: '1=yes',
        value: 0,
        error: `exit ${dead[0].exitCode} ${dead[0].signalCode || ''} ${dead[0].logFile ? fs.readFileSync(dead[0].logFile, 'utf8').trim().slice(-200) : ''}`,
      });
  } catch (e) {
    rows.push({ metric: `${g} set-up`, unit: '', value: NaN, error: e.message });
  } finally {
    if (c) await down(c);
  }
  for (const r of rows) res.add({ peer: name, group: g, round, mtu, ...r, psi: cpuPressure() });
  for (const r of rows)
    if (o.verbose || r.error)
      console.error(`  ${name} ${r.metric}: ${r.value} ${r.unit}${r.error ? ` ${r.error}` : ''}`);
  console.error(`round ${round + 1}/${ROUNDS} ${g} ${name}: ${((Date.now() - t0) / 1000).toFixed(1)} s`);
}
console.log(table(res.rows, { base: (o.base || names.join(',')).split(',') }));
process.exit(0);
