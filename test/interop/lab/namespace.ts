// Network namespaces for the interop tests, each held open by a process that ends with the test process.
//
// As root plain namespaces are made. Otherwise the first one (the world) gets a user namespace too, in which the caller
// is root, and all others are made inside it. Every namespace has a mount namespace of its own, so that a file can be
// bound over /etc/resolv.conf without anybody else seeing it.
import { realpathSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child, must, type Result, type RunOptions, run } from './process.ts';

export const PROJECT = resolve(fileURLToPath(import.meta.url), '../../../..');
export const IS_ROOT = process.getuid?.() === 0;
const NOBODY = 65534;

/** Who a program is: the namespace's root, or a user without any right. */
export type Who = 'root' | 'nobody';

export interface EnterOptions extends RunOptions {
  readonly who?: Who;
}

const HOLD = ['sh', '-c', 'echo held; exec cat'];
const WITH_TEST = ['setpriv', '--pdeathsig', 'KILL', '--']; // whatever happens to the test process

/** The words that run a program as somebody. Without root the user is one of a user namespace without any other. */
function become(who: Who): string[] {
  if (who === 'root') return WITH_TEST;
  const id = String(NOBODY);
  if (IS_ROOT) return ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', ...WITH_TEST.slice(1)];
  return ['unshare', '--user', `--map-user=${id}`, `--map-group=${id}`, ...WITH_TEST];
}

export class Namespace {
  readonly name: string;
  readonly children: Child[] = [];
  private readonly lab: string;
  private readonly holder: Child;
  private readonly enter: readonly string[];

  private constructor(name: string, lab: string, holder: Child) {
    this.name = name;
    this.lab = lab;
    this.holder = holder;
    const user = IS_ROOT ? [] : ['--user', '--preserve-credentials'];
    this.enter = ['nsenter', `--target=${holder.pid}`, ...user, '--net', '--mount', `--wd=${PROJECT}`, '--'];
  }

  /** A namespace with its loopback interface up; inside `parent`'s user namespace when there is one. */
  static async open(name: string, lab: string, parent: Namespace | null = null): Promise<Namespace> {
    const user = parent === null && !IS_ROOT ? ['--user', '--map-root-user'] : [];
    const argv = ['unshare', ...user, '--net', '--mount', ...WITH_TEST, ...HOLD];
    const holder = new Child(lab, parent === null ? argv : [...parent.enter, ...argv], `namespace ${name}`);
    await holder.until((child) => child.stdout.includes('held'), 10_000, 'unshare');
    const space = new Namespace(name, lab, holder);
    await space.must(['ip', 'link', 'set', 'lo', 'up']);
    return space;
  }

  /** Pid of a process inside; names the namespace for `ip link ... netns PID`. */
  get pid(): number {
    return this.holder.pid;
  }

  run(argv: readonly string[], options: EnterOptions = {}): Promise<Result> {
    return run(this.lab, this.inside(argv, options.who), options);
  }

  must(argv: readonly string[], options: EnterOptions = {}): Promise<string> {
    return must(this.lab, this.inside(argv, options.who), options);
  }

  /** Starts a program that is stopped when the namespace is closed. */
  start(argv: readonly string[], options: { who?: Who; env?: Readonly<Record<string, string>> } = {}): Child {
    const title = `${this.name}: ${argv.join(' ')}`;
    const child = new Child(this.lab, this.inside(argv, options.who), title, options.env);
    this.children.push(child);
    return child;
  }

  async sysctl(key: string, value: string): Promise<void> {
    const path = `/proc/sys/${key.replaceAll('.', '/')}`;
    await this.must(['sh', '-c', 'printf %s "$1" > "$2"', 'sh', value, path]);
  }

  /** Gives the namespace an /etc/resolv.conf of its own, a file in `dir`; returns its path. */
  async ownResolvConf(dir: string, text: string): Promise<string> {
    const file = join(dir, `resolv.conf.${this.name}`);
    writeFileSync(file, text);
    await this.must(['mount', '--bind', file, realpathSync('/etc/resolv.conf')]);
    return file;
  }

  async close(): Promise<void> {
    for (const child of [...this.children].reverse()) await child.stop();
    this.holder.end();
    await this.holder.stop();
  }

  private inside(argv: readonly string[], who: Who = 'root'): string[] {
    return [...this.enter, ...become(who), ...argv];
  }
}

/** Joins two namespaces by a cable; `a` and `b` are interface name and address with prefix length. */
export async function cable(
  left: Namespace,
  a: readonly [string, string],
  right: Namespace,
  b: readonly [string, string],
): Promise<void> {
  const peer = ['peer', 'name', b[0], 'netns', String(right.pid)];
  await left.must(['ip', 'link', 'add', 'name', a[0], 'type', 'veth', ...peer]);
  for (const [space, [device, address]] of [
    [left, a],
    [right, b],
  ] as const) {
    await space.must(['ip', 'address', 'add', address, 'dev', device]);
    await space.must(['ip', 'link', 'set', device, 'up']);
  }
}
