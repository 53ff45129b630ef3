// Shared functions of the benchmark scripts: children, namespaces, CPU and
// memory accounting, result lines, medians.
import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

export const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
export const nowNs = () => Number(process.hrtime.bigint());
export const words = (s) => (s || '').trim().split(/\s+/).filter(Boolean);
export const buildDir = process.env.BENCH_BUILD || '.';
export const tool = (name) => path.join(buildDir, name);
const TICK = 100; // USER_HZ

// ---- arguments: --key value | --flag
export function args(defaults) {
  const o = { ...defaults };
  const a = process.argv.slice(2);
  for (let i = 0; i < a.length; i++) {
    if (!a[i].startsWith('--')) throw new Error(`unexpected argument ${a[i]}`);
    const k = a[i].slice(2);
    if (!(k in defaults)) throw new Error(`unknown option --${k}; known: ${Object.keys(defaults).join(' ')}`);
    if (defaults[k] === false) o[k] = true;
    else o[k] = a[++i];
  }
  return o;
}

export const workDir = process.env.BENCH_WORK || fs.mkdtempSync(path.join(os.tmpdir(), 'slbench-')); // bench.sh makes and removes it
for (const s of ['SIGINT', 'SIGTERM']) process.on(s, () => process.exit(1));

// ---- children
const live = new Set();
export function start(cmd, { ns, log, cwd, env } = {}) {
  const argv = ns ? ['nsenter', `--net=/proc/${ns}/ns/net`, '--', ...cmd] : cmd;
  const out = log ? fs.openSync(path.join(workDir, log), 'a') : 'ignore';
  // stdin stays open: some daemons leave when it reaches its end
  const p = spawn(argv[0], argv.slice(1), {
    stdio: ['pipe', out, out],
    cwd,
    env: env ? { ...process.env, ...env } : process.env,
  });
  if (log) fs.closeSync(out);
  p.stdin.on('error', () => {});
  p.on('error', (e) => {
    p.failed = e;
  });
  p.logFile = log && path.join(workDir, log);
  live.add(p);
  p.on('exit', () => live.delete(p));
  return p;
}
export async function stop(p, ms = 1500) {
  if (!p || p.exitCode !== null || p.signalCode !== null || p.failed) return;
  const gone = new Promise((r) => p.once('exit', r));
  p.kill('SIGTERM');
  await Promise.race([gone, sleep(ms)]);
  if (p.exitCode === null && p.signalCode === null) {
    p.kill('SIGKILL');
    await Promise.race([gone, sleep(500)]);
  }
}
export const alive = (p) => p && p.exitCode === null && p.signalCode === null && !p.failed;
process.on('exit', () => {
  for (const p of live) {
    try {
      p.kill('SIGKILL');
    } catch {}
  }
});

// run to the end, bounded in time; resolves {code, out, err, timedOut}
export function run(cmd, { ns, ms = 20000, input, env } = {}) {
  const argv = ns ? ['nsenter', `--net=/proc/${ns}/ns/net`, '--', ...cmd] : cmd;
  return new Promise((resolve) => {
    const p = spawn(argv[0], argv.slice(1), {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: env ? { ...process.env, ...env } : process.env,
    });
    live.add(p);
    let out = '',
      err = '',
      timedOut = false;
    const t = setTimeout(() => {
      timedOut = true;
      p.kill('SIGKILL');
    }, ms);
    p.stdout.on('data', (d) => {
      out += d;
    });
    p.stderr.on('data', (d) => {
      err += d;
    });
    p.stdin.on('error', () => {});
    p.stdin.end(input || '');
    p.on('error', (e) => {
      clearTimeout(t);
      live.delete(p);
      resolve({ code: 127, out, err: String(e), timedOut });
    });
    p.on('close', (code) => {
      clearTimeout(t);
      live.delete(p);
      resolve({ code, out, err, timedOut });
    });
  });
}
export async function must(cmd, opt) {
  const r = await run(cmd, opt);
  if (r.code !== 0) throw new Error(`${cmd.join(' ')}: ${(r.err || r.out || `exit ${r.code}`).trim().slice(0, 300)}`);
  return r.out;
}
export const have = (prog) => {
  try {
    execFileSync('sh', ['-c', `command -v -- "$1"`, 'sh', prog], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
};
// one JSON object from a load tool
export async function probe(cmd, opt) {
  const r = await run(cmd, opt);
  if (r.timedOut) return { error: 'timed out' };
  try {
    return JSON.parse(r.out.trim().split('\n').pop());
  } catch {
    return { error: (r.err || r.out || `exit ${r.code}`).trim().slice(0, 200) };
  }
}

// ---- namespaces: a holder process keeps each one alive; its pid names it
export async function netns() {
  const p = start(['unshare', '--net', 'sleep', '100000']);
  for (let i = 0; i < 200; i++) {
    await sleep(2);
    try {
      if (
        fs.readlinkSync(`/proc/${p.pid}/ns/net`) !== fs.readlinkSync('/proc/self/ns/net') &&
        fs.readFileSync(`/proc/${p.pid}/comm`, 'utf8').trim() === 'sleep'
      )
        break;
    } catch {}
  }
  await must(['ip', 'link', 'set', 'lo', 'up'], { ns: p.pid });
  return p;
}
export async function sysctl(ns, kv) {
  for (const [k, v] of Object.entries(kv)) {
    await run(['sh', '-c', `echo '${v}' > /proc/sys/${k.replace(/\./g, '/')}`], { ns });
  }
}

// ---- accounting over a process tree
function children() {
  const m = new Map();
  for (const d of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(d)) continue;
    try {
      const s = fs.readFileSync(`/proc/${d}/stat`, 'utf8');
      const f = s.slice(s.lastIndexOf(')') + 2).split(' ');
      const ppid = Number(f[1]);
      if (!m.has(ppid)) m.set(ppid, []);
      m.get(ppid).push(Number(d));
    } catch {}
  }
  return m;
}
export function tree(pids) {
  const m = children(),
    out = new Set(),
    todo = [...pids];
  while (todo.length) {
    const p = todo.pop();
    if (out.has(p)) continue;
    out.add(p);
    todo.push(...(m.get(p) || []));
  }
  return [...out];
}
export function cpuOf(pids) {
  // seconds
  let t = 0;
  for (const p of tree(pids)) {
    try {
      const s = fs.readFileSync(`/proc/${p}/stat`, 'utf8');
      const f = s.slice(s.lastIndexOf(')') + 2).split(' ');
      t += Number(f[11]) + Number(f[12]);
    } catch {}
  }
  return t / TICK;
}
export function rssOf(pids) {
  // KiB: resident, proportional where readable
  let t = 0;
  for (const p of tree(pids)) {
    try {
      t += Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${p}/status`, 'utf8'))[1]);
    } catch {}
  }
  return t;
}
export function hwmOf(pids) {
  let t = 0;
  for (const p of tree(pids)) {
    try {
      t += Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${p}/status`, 'utf8'))[1]);
    } catch {}
  }
  return t;
}
export function cpuAll() {
  // busy seconds of the whole machine
  const f = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/).slice(1).map(Number);
  return (f[0] + f[1] + f[2] + f[5] + f[6]) / TICK;
}
export const cpuPressure = () => {
  try {
    return /avg10=([\d.]+)/.exec(fs.readFileSync('/proc/pressure/cpu', 'utf8'))[1];
  } catch {
    return null;
  }
};

// ---- an optional lock shared with other timing work on the machine
export async function withLock(fn) {
  const file = process.env.BENCH_LOCK;
  if (!file) return fn();
  const p = spawn('flock', [file, 'sh', '-c', 'echo got; cat >/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] });
  live.add(p);
  await new Promise((r) => p.stdout.once('data', r));
  try {
    return await fn();
  } finally {
    const gone = new Promise((r) => p.once('exit', r));
    p.stdin.end();
    await gone;
    live.delete(p);
  }
}

// ---- results
export class Results {
  constructor(file) {
    this.file = file;
    this.rows = [];
    if (file) fs.mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  }
  add(row) {
    this.rows.push(row);
    if (this.file) fs.appendFileSync(this.file, `${JSON.stringify(row)}\n`);
  }
}
export function median(a) {
  const s = a.filter((x) => Number.isFinite(x)).sort((x, y) => x - y);
  if (!s.length) return NaN;
  return s.length % 2 ? s[(s.length - 1) / 2] : (s[s.length / 2 - 1] + s[s.length / 2]) / 2;
}
export function fmt(x) {
  if (!Number.isFinite(x)) return '-';
  const a = Math.abs(x);
  if (a >= 1e6) return `${(x / 1e6).toFixed(2)}M`;
  if (a >= 10000) return `${(x / 1e3).toFixed(1)}k`;
  if (a >= 100) return x.toFixed(0);
  if (a >= 10) return x.toFixed(1);
  return x.toFixed(a >= 1 ? 2 : 3);
}
// rows -> text tables.  base: names of the peers to show ratios against.
export function table(rows, { base = [] } = {}) {
  const metrics = [],
    who = [],
    cell = new Map();
  for (const r of rows) {
    if (r.metric === undefined) continue;
    const m = `${r.metric} [${r.unit}]`;
    if (!metrics.includes(m)) metrics.push(m);
    if (!who.includes(r.peer)) who.push(r.peer);
    const k = `${m}\0${r.peer}`;
    if (!cell.has(k)) cell.set(k, { v: [], bad: 0, why: '' });
    if (Number.isFinite(r.value)) cell.get(k).v.push(r.value);
    else {
      cell.get(k).bad++;
      cell.get(k).why = r.error || '';
    }
  }
  const out = [];
  out.push(`| metric | ${who.join(' | ')} |`);
  out.push(`|---|${who.map(() => '--:').join('|')}|`);
  for (const m of metrics) {
    out.push(
      `| ${m} | ` +
        who
          .map((p) => {
            const c = cell.get(`${m}\0${p}`);
            if (!c) return '';
            if (!c.v.length) return 'failed';
            const md = median(c.v);
            const spread = c.v.length > 1 ? ` (${fmt(Math.min(...c.v))}–${fmt(Math.max(...c.v))})` : '';
            return fmt(md) + spread + (c.bad ? ` [${c.bad} failed]` : '');
          })
          .join(' | ') +
        ' |',
    );
  }
  for (const b of base) {
    if (!who.includes(b) || who.length < 2) continue;
    out.push('', `Ratios to ${b} (above 1 = more than ${b}; for times, CPU and memory less is better)`, '');
    out.push(`| metric | ${who.filter((p) => p !== b).join(' | ')} |`);
    out.push(
      `|---|${who
        .filter((p) => p !== b)
        .map(() => '--:')
        .join('|')}|`,
    );
    for (const m of metrics) {
      const cb = cell.get(`${m}\0${b}`);
      const vb = cb && median(cb.v);
      if (!vb) continue;
      out.push(
        `| ${m} | ` +
          who
            .filter((p) => p !== b)
            .map((p) => {
              const c = cell.get(`${m}\0${p}`);
              return c?.v.length ? (median(c.v) / vb).toFixed(2) : '';
            })
            .join(' | ') +
          ' |',
      );
    }
  }
  return out.join('\n');
}
