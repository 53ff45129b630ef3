// Installs the Debian packages that the interop tests run against, and fetches the kernel of their QEMU guest.
//
//   node scripts/install-peers.mjs
//
// What is there already is left alone. As root on a machine with apt the rest is installed; otherwise the tests that need
// it are named, and left out by the test run. With CI set, anything missing is a failure (exit status 1).
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('..', import.meta.url));
const GUEST_KERNEL = join(PROJECT, 'build/guest-kernel');
const KERNEL_PACKAGE = 'linux-image-cloud-amd64'; // names the current kernel's package as its dependency
const KERNEL_FILES = ['vmlinuz-*', 'virtio.ko', 'virtio_ring.ko', 'virtio_pci*.ko', '*failover.ko', 'virtio_net.ko'];

const env = {
  ...process.env,
  PATH: [process.env.PATH ?? '', '/usr/sbin', '/sbin'].join(delimiter),
  DEBIAN_FRONTEND: 'noninteractive',
};

/** Runs a program; its result, with standard output as text unless `show` sends it to ours. */
function run(argv, { show = false, cwd = PROJECT } = {}) {
  const stdio = ['ignore', show ? 'inherit' : 'pipe', show ? 'inherit' : 'pipe'];
  return spawnSync(argv[0], argv.slice(1), { cwd, env, stdio, encoding: 'utf8' });
}

const works = (line) => run(['sh', '-c', line]).status === 0;
const isRoot = process.getuid?.() === 0;
const hasApt = works('command -v apt-get');

/** Each peer: package, the programs it brings, a shell test where their presence says too little, and what needs it. */
const peers = JSON.parse(readFileSync(new URL('peers.json', import.meta.url), 'utf8'));

function isPresent({ programs = [], test = 'true' }) {
  return works([...programs.map((program) => `command -v ${program}`), test].join(' && '));
}

function install(packages) {
  const argv = ['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...packages];
  const simulated = run([...argv, '--simulate']);
  if (simulated.status !== 0 && run(['apt-get', 'update', '-q'], { show: true }).status !== 0) return false;
  if (run(argv, { show: true }).status === 0) return true;
  // Lists that are too old name files which are no longer there.
  return run(['apt-get', 'update', '-q'], { show: true }).status === 0 && run(argv, { show: true }).status === 0;
}

/** Takes kernel and virtio modules out of Debian's package, without installing it. */
function fetchKernel() {
  const named = () =>
    /Depends: (linux-image-\S+)/.exec(run(['apt-cache', 'depends', KERNEL_PACKAGE]).stdout ?? '')?.[1];
  let kernel = named();
  if (kernel === undefined && isRoot && run(['apt-get', 'update', '-q'], { show: true }).status === 0) kernel = named();
  if (kernel === undefined) return false;
  const work = mkdtempSync(join(tmpdir(), 'vdenet-kernel-'));
  try {
    const sandbox = isRoot ? ['-o', 'APT::Sandbox::User=root'] : [];
    if (run(['apt-get', ...sandbox, 'download', '-q', kernel], { cwd: work, show: true }).status !== 0) return false;
    const wanted = KERNEL_FILES.map((pattern) => `'*/${pattern}'`).join(' ');
    const unpack = `dpkg-deb --fsys-tarfile ./*.deb | tar -x --wildcards ${wanted}`;
    if (run(['sh', '-c', unpack], { cwd: work, show: true }).status !== 0) return false;
    const made = join(work, 'made');
    mkdirSync(made);
    const found = readdirSync(work, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    for (const { name, parentPath } of found) {
      if (name.endsWith('.ko')) renameSync(join(parentPath, name), join(made, name));
      if (name.startsWith('vmlinuz-')) renameSync(join(parentPath, name), join(made, 'vmlinuz'));
    }
    mkdirSync(join(PROJECT, 'build'), { recursive: true });
    return run(['cp', '-r', made, GUEST_KERNEL]).status === 0 && existsSync(join(GUEST_KERNEL, 'vmlinuz'));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

const absent = () => peers.filter((peer) => !isPresent(peer));
if (absent().length > 0 && isRoot && hasApt) install(absent().map((peer) => peer.package));

const missing = absent().map((peer) => ({ what: peer.package, reason: peer.for }));
const hasKernel = existsSync(join(GUEST_KERNEL, 'vmlinuz')) || (process.arch === 'x64' && hasApt && fetchKernel());
if (!hasKernel) missing.push({ what: `the kernel of ${KERNEL_PACKAGE}`, reason: 'the QEMU guest' });

if (missing.length === 0) {
  console.log('peers: all programs of the interop tests are here');
} else {
  for (const { what, reason } of missing) console.log(`peers: ${what} is missing; left out: tests of ${reason}`);
  if (!isRoot) console.log('peers: as root this script installs them');
  if (process.env.CI) process.exitCode = 1;
}
