// Runs a command once, for the build, and keeps the compiled form of what that took: V8's code cache, which bin/launch.cjs
// gives it back at every start. The commands whose start-up people wait for are run until they serve; of the others only
// what every start needs is kept. A command that cannot be run here (no addon, say) is compiled when it starts, as before.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const CHILD = fileURLToPath(new URL('warm-child.cjs', import.meta.url));
const TRIES = 200;
const TRY_MS = 50;
/** No command takes longer, milliseconds. */
const LIMIT_MS = 30_000;

/** How to run a command until it serves: its words, and what to do with it then. */
function rehearsal(name, scratch) {
  const at = (file) => join(scratch, `${name}.${file}`);
  const control = ['--socket', at('ctl'), '--mgmt', at('mgmt')];
  if (name === 'slirpvde' || name === 'slirpvde6') {
    const words = ['--dhcp', ...control, '--qemu-stream', at('qemu')];
    return { words, serve: () => lease(at('qemu')) };
  }
  if (name === 'vde_switch')
    return { words: ['--sock', at('ctl'), '--mgmt', at('mgmt')], serve: () => appears(at('mgmt')) };
  return { words: ['--version'], serve: null };
}

/** Compiles a command ahead. Never fails. */
export async function warm(name, bundle, scratch) {
  const { words, serve } = rehearsal(name, scratch);
  const child = spawn(process.execPath, [CHILD, name, bundle, ...words], {
    stdio: ['pipe', 'ignore', 'ignore'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  if (serve !== null) {
    await Promise.race([serve().catch(() => {}), ended]);
    child.kill('SIGTERM');
  }
  await ended;
}

async function appears(path) {
  for (let i = 0; i < TRIES && !existsSync(path); i++) await sleep(TRY_MS);
}

/** Asks for an address as a guest of QEMU's `-netdev stream`, and waits for the offer. */
async function lease(path) {
  await appears(path);
  const socket = createConnection(path);
  socket.setTimeout(TRIES * TRY_MS, () => socket.destroy());
  socket.on('error', () => {});
  const frame = discover();
  const length = Buffer.alloc(4);
  length.writeUInt32BE(frame.length);
  socket.write(Buffer.concat([length, frame]));
  for await (const bytes of socket) if (bytes.includes(OFFER)) return;
}

const MAC = [0x52, 0x54, 0, 0x12, 0x34, 0x56];
const COOKIE = [0x63, 0x82, 0x53, 0x63];
const OFFER = Buffer.from([...COOKIE, 53, 1, 2]);

/** An Ethernet frame with DHCPDISCOVER (RFC 2131 section 2). */
function discover() {
  const frame = Buffer.alloc(342);
  frame.fill(255, 0, 6);
  frame.set(MAC, 6);
  frame.set([0x08, 0x00, 0x45, 0, 1, 72, 0, 0, 0, 0, 64, 17, 0x79, 0xa6], 12); // IPv4, UDP, 328 bytes, checksum
  frame.fill(255, 30, 34);
  frame.set([0, 68, 0, 67, 1, 52], 34); // ports, 308 bytes, no checksum
  frame.set([1, 1, 6], 42);
  frame.set(MAC, 70);
  frame.set([...COOKIE, 53, 1, 1, 255], 278);
  return frame;
}
