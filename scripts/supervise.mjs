// Runs programs that may not end, and counts what AVA says: every run ends by itself, with a true verdict.
//
//   silence     the processes under the program are killed (a test file that hangs, and ignores AVA's SIGTERM); AVA notes
//               that and goes on with the other files. Silence once more: the end, as at the deadline
//   deadline    AVA is interrupted and lists the tests under way, then all is killed
//   held open   AVA has told its sum but does not end, or has ended and others keep its pipes: these are killed
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files of tests that are run a second time at most, in each run of AVA. */
const MAX_AGAIN = 3;
/** AVA's last lines. */
const SUM = /^ {2}─\n\n(?: {2}\d+ .+\n)+/m;
const BAD_SUM = /^ {2}\d+ (?!tests? (?:passed|skipped|todo)$)/m;

/** Signals a process, or with a negative number a group; it may be gone. */
function signal(pid, name) {
  try {
    process.kill(pid, name);
  } catch {}
}

/** The processes of a group, and those that descend from it, without its leader. */
function under(leader) {
  const parents = new Map();
  const found = new Set();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const [, parent, group] = readFileSync(`/proc/${pid}/stat`, 'latin1')
        .replace(/.*\) /s, '')
        .split(' ')
        .map(Number);
      parents.set(Number(pid), parent);
      if (group === leader) found.add(Number(pid));
    } catch {}
  }
  for (const start of parents.keys()) {
    const line = [];
    for (let pid = start; parents.has(pid); pid = parents.get(pid)) {
      if (pid === leader || found.has(pid)) for (const each of line) found.add(each);
      line.push(pid);
    }
  }
  found.delete(leader);
  return [...found];
}

export class Supervisor {
  /** What the last lines are to say. */
  remarks = [];
  #project;
  #silenceMs;
  #graceMs;
  #end;
  #child;

  /**
   * @param project    folder of the project
   * @param silenceMs  a program that prints nothing for so long hangs; more than AVA's own timeout
   * @param limitMs    for everything together
   * @param graceMs    for what follows a signal, and what follows AVA's sum
   */
  constructor({ project, silenceMs, limitMs, graceMs = 10_000 }) {
    this.#project = project;
    this.#silenceMs = silenceMs;
    this.#graceMs = graceMs;
    this.#end = performance.now() + limitMs;
  }

  /** True when there is no time left. */
  get late() {
    return performance.now() >= this.#end;
  }

  /** Passes a signal on. */
  interrupt(name) {
    if (this.#child) signal(-this.#child.pid, name);
  }

  /** Runs a program and shows what it prints; resolves to that, and whether it ended with 0. */
  run(argv, env = {}) {
    return new Promise((resolve) => {
      const child = spawn(argv[0], argv.slice(1), {
        cwd: this.#project,
        env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0', ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      });
      this.#child = child;
      let output = '';
      let halted = false;
      let over = false;
      let spared = false;
      let outlived = false;
      let held;
      const later = [];
      const say = (text) => {
        output += `\n${text}\n`;
        console.log(`\n${argv.join(' ')}: ${text}`);
      };
      const killUnder = () => {
        for (const pid of under(child.pid)) signal(pid, 'SIGKILL');
      };
      const end = (ok) => {
        if (over) return;
        over = true;
        for (const timer of [silence, deadline, held, ...later]) clearTimeout(timer);
        killUnder();
        child.stdout.destroy();
        child.stderr.destroy();
        this.#child = undefined;
        resolve({ ok, output });
      };
      const showProcesses = () => {
        const list = spawnSync('ps', ['-eo', 'pid,ppid,stat,etimes,time,wchan:20,args', '--forest'], {
          encoding: 'utf8',
        });
        console.log(`\n${list.stdout ?? list.error}`);
      };
      const halt = (why) => {
        if (halted || over) return;
        halted = true;
        showProcesses();
        say(`${why}, ended`);
        signal(child.pid, 'SIGINT'); // AVA lists what was under way
        later.push(
          setTimeout(killUnder, this.#graceMs / 2),
          setTimeout(() => signal(-child.pid, 'SIGKILL'), this.#graceMs),
          setTimeout(() => end(false), this.#graceMs * 1.5),
        );
      };
      const silence = setTimeout(() => {
        const why = `nothing printed for ${(this.#silenceMs / 60_000).toFixed(1)} minutes`;
        if (spared || under(child.pid).length === 0) return halt(why);
        spared = true;
        showProcesses();
        say(`${why}: the processes under it are killed`);
        killUnder();
        silence.refresh();
      }, this.#silenceMs);
      const deadline = setTimeout(
        () => halt('the time for all tests is over'),
        Math.max(0, this.#end - performance.now()),
      );
      const show = (to) => (data) => {
        output += data;
        silence.refresh();
        spared = false;
        to.write(data);
        if (held === undefined && SUM.test(output.slice(-1000)))
          held = setTimeout(() => {
            outlived = true;
            this.remarks.push(`held open by a process that outlived its test: ${argv.join(' ')}`);
            killUnder();
            later.push(setTimeout(() => signal(-child.pid, 'SIGKILL'), this.#graceMs / 2));
          }, this.#graceMs);
      };
      child.stdout.setEncoding('utf8').on('data', show(process.stdout));
      child.stderr.setEncoding('utf8').on('data', show(process.stderr));
      child.on('error', (error) => {
        console.error(error.message);
        end(false);
      });
      // AVA that was killed behind its sum: that tells.
      const good = (code) =>
        !halted && (code === 0 || (code === null && outlived && !BAD_SUM.test(output.slice(-1000))));
      child.on('close', (code) => end(good(code)));
      // Those that it has left may keep its pipes.
      child.on('exit', (code) => later.push(setTimeout(() => end(good(code)), this.#graceMs / 2)));
    });
  }

  /**
   * Runs AVA, and the files with a test that failed once more, each alone: programs of others end now and then without a
   * word, and a machine stalls. What passes then is counted as passed, and named as unsteady in the last lines: it is a
   * test to be mended. More than MAX_AGAIN files, or a failure that names no test, is no matter of chance.
   *
   * @param root  folder whose part is left out in the titles
   */
  async tests(argv, { root, env }) {
    const first = count(await this.run(argv, env));
    if (first.failed === 0 || this.late) return first;
    const fileOf = (title) => this.#fileOf(title, root);
    const files = [...new Set([...first.titles.map(fileOf), ...first.stuck])];
    const known = first.titles.length + first.stuck.length >= first.failed && !files.includes(undefined);
    if (!known || files.length > MAX_AGAIN) return first;
    let failed = 0;
    const steady = [];
    for (const file of files) {
      console.log(`\n== once more: ${file}`);
      const second = count(await this.run([...argv, file], env));
      failed += second.failed;
      if (second.failed > 0) steady.push(file);
      else this.remarks.push(`unsteady, passed alone: ${file}`);
    }
    const titles = first.titles.filter((title) => steady.includes(fileOf(title)));
    const stuck = first.stuck.filter((file) => steady.includes(file));
    for (const title of first.titles) if (!titles.includes(title)) this.remarks.push(`unsteady: ${title}`);
    return { ...first, passed: first.passed + first.titles.length - titles.length, failed, titles, stuck };
  }

  /** The file of a test that AVA names `folder › file › title`, relative to `root`; undefined when there is none. */
  #fileOf(title, root) {
    const parts = title.split(' › ');
    for (let n = parts.length - 1; n > 0; n--) {
      const file = `${root}/${parts.slice(0, n).join('/')}.test.ts`;
      if (existsSync(join(this.#project, file))) return file;
    }
    return undefined;
  }
}

/** What a run of AVA counted: its closing lines, and where it failed and so leaves out how many passed, its tick marks. */
export function count({ ok, output }) {
  const sum = (pattern) => [...output.matchAll(pattern)].reduce((total, [, n]) => total + Number(n), 0);
  const ticks = output.match(/^ {2}[✔√] /gm)?.length ?? 0;
  const failed = sum(
    /^ {2}(\d+) (?:tests? failed|hooks? failed|known failures?|unhandled rejections?|uncaught exceptions?)$/gm,
  );
  // Files whose process did not end, or had tests under way, when AVA gave up waiting; or that was killed.
  const stuck = [
    ...output.matchAll(/^ {2}(?:[✘×] )?(?:Failed to exit when running|\d+ tests? were pending in) (.+)$/gm),
    ...output.matchAll(/^ {2}[✘×] (\S+\.test\.ts) exited (?:due to|with)/gm),
  ];
  const files = [...new Set(stuck.map(([, file]) => file.trim()))];
  return {
    passed: sum(/^ {2}(\d+) tests? passed$/gm) || ticks,
    failed: ok ? 0 : Math.max(failed + files.length, 1),
    skipped: sum(/^ {2}(\d+) tests? skipped$/gm),
    // `file › title`, or the title alone where AVA ran one file
    titles: [...output.matchAll(/^ {2}[✘×] \[fail\]: (.+)$/gm)].map(([, title]) => title),
    stuck: files,
  };
}
