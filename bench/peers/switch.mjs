// Switch benchmark: forwarding rate, loss, latency and CPU of vde_switch
// implementations, interleaved.  Run it through bench.sh; see README.md.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import {
  alive,
  args,
  cpuOf,
  cpuPressure,
  have,
  probe,
  Results,
  rssOf,
  sleep,
  start,
  stop,
  table,
  tool,
  withLock,
  words,
  workDir,
} from './lib.mjs';

const o = args({
  peers: 'direct,debian,ours',
  rounds: '3',
  secs: '1',
  cases: '',
  out: '',
  base: 'debian',
  verbose: false,
});
const SECS = Number(o.secs),
  ROUNDS = Number(o.rounds);
const VL = tool('vdeload');
const CMD = {
  direct: [],
  debian: words(process.env.DEBIAN_VDE_SWITCH || 'vde_switch'),
  ours: words(process.env.VDE_SWITCH || ''),
  against: words(process.env.VDE_SWITCH_AGAINST || ''),
  plug: words(process.env.VDE_PLUG || 'vde_plug'),
};
let seq = 0;
async function aSwitch(name) {
  const ctl = path.join(workDir, `w${seq++}`);
  const p = start([...CMD[name], '-s', ctl, '-n', '64', '-m', '700'], { log: `switch${seq}.log` });
  const t0 = Date.now();
  while (!fs.existsSync(path.join(ctl, 'ctl'))) {
    if (Date.now() - t0 > 10000 || !alive(p))
      throw new Error(`${name}: no control socket ${p.failed || fs.readFileSync(p.logFile, 'utf8').slice(-200)}`);
    await sleep(2);
  }
  return { p, ctl, ms: Date.now() - t0 };
}
async function up(name, cascade) {
  const c = { name, sw: [], extra: [] };
  if (name === 'direct') {
    c.a = c.b = 'direct';
    return c;
  }
  try {
    const a = await aSwitch(name);
    c.sw.push(a.p);
    c.a = c.b = a.ctl;
    c.startMs = a.ms;
    if (cascade) {
      const b = await aSwitch(name);
      c.sw.push(b.p);
      c.b = b.ctl;
      c.extra.push(start([...CMD.plug, `vde://${a.ctl}`, `vde://${b.ctl}`], { log: `plug${seq}.log` }));
      await sleep(300);
      if (!alive(c.extra[0])) throw new Error('the plug between the switches ended');
    }
    await sleep(50);
    return c;
  } catch (e) {
    await down(c);
    throw e;
  }
}
async function down(c) {
  for (const p of [...c.extra, ...c.sw]) await stop(p, 800);
}
const pids = (c) => c.sw.filter(alive).map((p) => p.pid);

async function shot(c, cmd, _out = 1) {
  const c0 = cpuOf(pids(c));
  const r = await probe([VL, ...cmd.map(String)], { ms: 15000 });
  r.us_each = r.received ? ((cpuOf(pids(c)) - c0) * 1e6) / r.received : NaN;
  return r;
}
function rateRows(metric, r, size) {
  if (r.error) return [{ metric, unit: 'frames/s', value: NaN, error: r.error }];
  const rows = [
    { metric, unit: 'frames/s', value: r.recv_fps, sent_fps: r.sent_fps, loss: r.loss, min_sink: r.min_sink },
  ];
  if (size > 1000) rows.push({ metric, unit: 'Gbit/s', value: r.recv_gbps });
  rows.push({ metric: `${metric} loss`, unit: '%', value: Math.max(0, r.loss * 100) });
  if (Number.isFinite(r.us_each) && r.us_each)
    rows.push({ metric: `${metric} switch cpu`, unit: 'us per frame out', value: r.us_each });
  return rows;
}
// highest paced rate that loses at most the given share
async function lossless(c, size, limit, mode = 'unicast', n = 1) {
  let lo = 0,
    hi = 0,
    best = 0;
  const ok = async (pps) => {
    const r = await shot(c, [mode, c.a, c.b, size, pps, 0.5, n, 1]);
    if (r.error) throw new Error(r.error);
    const good = r.loss <= limit && r.sent_fps > pps * 0.9;
    if (good) best = Math.max(best, r.recv_fps / (mode === 'flood' ? n : 1));
    return good;
  };
  for (const pps of mode === 'flood'
    ? [1000, 2500, 5000, 10000, 20000, 40000, 80000]
    : [5000, 10000, 25000, 50000, 100000, 200000, 400000, 800000]) {
    if (await ok(pps)) lo = pps;
    else {
      hi = pps;
      break;
    }
  }
  if (hi)
    for (let i = 0; i < 3; i++) {
      const m = Math.round((lo + hi) / 2);
      if (await ok(m)) lo = m;
      else hi = m;
    }
  return best;
}
const CASES = {
  unicast: {
    async run(c) {
      const rows = [];
      for (const size of [64, 1514]) {
        rows.push(
          ...rateRows(`unicast ${size} B, saturated`, await shot(c, ['unicast', c.a, c.b, size, 0, SECS, 1, 1]), size),
        );
        rows.push({
          metric: `unicast ${size} B, at most 0.1% lost`,
          unit: 'frames/s',
          value: await lossless(c, size, 0.001),
        });
      }
      rows.push(...rateRows('unicast 64 B, bursts of 8', await shot(c, ['unicast', c.a, c.b, 64, 0, SECS, 1, 8]), 64));
      if (c.sw.length) rows.push({ metric: 'rss idle', unit: 'MiB', value: rssOf(pids(c)) / 1024 });
      return rows;
    },
  },
  macs: {
    noDirect: true,
    async run(c) {
      const rows = rateRows(
        'unicast 64 B, 1000 addresses, saturated',
        await shot(c, ['unicast', c.a, c.b, 64, 0, SECS, 1000, 1]),
        64,
      );
      rows.push({ metric: 'rss after 1000 addresses', unit: 'MiB', value: rssOf(pids(c)) / 1024 });
      return rows;
    },
  },
  flood: {
    noDirect: true,
    async run(c) {
      const rows = [];
      for (const size of [64, 1514])
        rows.push(
          ...rateRows(
            `broadcast ${size} B to 16 ports, copies out`,
            await shot(c, ['flood', c.a, c.b, size, 0, SECS, 16, 1]),
            size,
          ),
        );
      rows.push({
        metric: 'broadcast 64 B to 16 ports, at most 0.1% lost',
        unit: 'frames/s in',
        value: await lossless(c, 64, 0.001, 'flood', 16),
      });
      return rows;
    },
  },
  latency: {
    async run(c) {
      const rows = [];
      for (const size of [64, 1514]) {
        const r = await shot(c, ['latency', c.a, c.b, size, SECS]);
        rows.push(
          {
            metric: `round trip ${size} B p50`,
            unit: 'us',
            value: r.error ? NaN : r.p50_us,
            error: r.error,
            lost: r.lost,
          },
          { metric: `round trip ${size} B p99`, unit: 'us', value: r.error ? NaN : r.p99_us },
        );
      }
      return rows;
    },
  },
  cascade: {
    noDirect: true,
    cascade: true,
    async run(c) {
      const rows = [];
      for (const size of [64, 1514])
        rows.push(
          ...rateRows(
            `two switches, unicast ${size} B, saturated`,
            await shot(c, ['unicast', c.a, c.b, size, 0, SECS, 1, 1]),
            size,
          ),
        );
      const r = await shot(c, ['latency', c.a, c.b, 64, SECS]);
      rows.push(
        { metric: 'two switches, round trip 64 B p50', unit: 'us', value: r.error ? NaN : r.p50_us, error: r.error },
        { metric: 'two switches, round trip 64 B p99', unit: 'us', value: r.error ? NaN : r.p99_us },
      );
      return rows;
    },
  },
};

const names = o.peers.split(',').filter((n) => {
  if (!(n in CMD) || n === 'plug') throw new Error(`no such peer ${n}`);
  if (n === 'direct') return true;
  if (!CMD[n].length) {
    console.error(`${n}: set VDE_SWITCH to the command of the switch under test`);
    return false;
  }
  if (!have(CMD[n][0])) {
    console.error(`skipping ${n}: ${CMD[n][0]} not installed`);
    return false;
  }
  return true;
});
const res = new Results(o.out);
res.add({
  env: {
    date: new Date().toISOString(),
    cpus: os.cpus().length,
    cpu: os.cpus()[0].model,
    kernel: os.release(),
    node: process.version,
    rounds: ROUNDS,
    secs: SECS,
    pinned: process.env.BENCH_CPUS || null,
    max_dgram_qlen: fs.readFileSync('/proc/sys/net/unix/max_dgram_qlen', 'utf8').trim(),
    peers: names,
  },
});
const cases = o.cases ? o.cases.split(',') : Object.keys(CASES);
for (let round = 0; round < ROUNDS; round++) {
  for (const k of cases) {
    if (!CASES[k]) throw new Error(`no such case ${k}; known: ${Object.keys(CASES).join(' ')}`);
    await withLock(async () => {
      for (const name of round % 2 ? [...names].reverse() : names) {
        if (CASES[k].noDirect && name === 'direct') continue;
        let c,
          rows = [];
        try {
          c = await up(name, CASES[k].cascade);
          if (c.startMs !== undefined)
            rows.push({ metric: 'start-up to control socket', unit: 'ms', value: c.startMs });
          rows.push(...(await CASES[k].run(c)));
          if (c.sw.some((p) => !alive(p))) rows.push({ metric: `switch survives ${k}`, unit: '1=yes', value: 0 });
        } catch (e) {
          rows.push({ metric: k, unit: '', value: NaN, error: e.message });
        } finally {
          if (c) await down(c);
        }
        for (const r of rows) {
          res.add({ peer: name, case: k, round, ...r, psi: cpuPressure() });
          if (o.verbose || r.error)
            console.error(`  ${name} ${r.metric}: ${r.value} ${r.unit}${r.error ? ` ${r.error}` : ''}`);
        }
        console.error(`round ${round + 1}/${ROUNDS} ${k} ${name}`);
      }
    });
  }
}
console.log(table(res.rows, { base: o.base.split(',') }));
process.exit(0);
