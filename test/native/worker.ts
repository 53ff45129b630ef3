// The threads of children.ts.

import { join } from 'node:path';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { AF_UNIX, native, READABLE, SOCK_DGRAM, WRITABLE } from '../../src/native/native.ts';

const api = native();
const fd = api.socket(AF_UNIX, SOCK_DGRAM, 0);
const path = join(workerData.dir, `worker-${threadId}`);
if (api.bindUnix(fd, path) !== 0 || api.connectUnix(fd, path) !== 0) throw new Error('no socket');
const batch = api.newBatch(new Uint8Array(10), 1);

const scenarios: Record<string, () => void> = {
  watch: () => {
    api.poll(fd, READABLE, () => {});
    api.poll(api.socket(AF_UNIX, SOCK_DGRAM, 0), READABLE, () => {});
    parentPort!.once('message', () => process.exit(5));
  },
  'exit-in-callback': () => {
    api.poll(fd, WRITABLE, () => process.exit(5));
  },
  'close-and-exit': () => {
    const poll = api.poll(fd, WRITABLE, () => {});
    api.poll(api.socket(AF_UNIX, SOCK_DGRAM, 0), READABLE, () => {});
    setImmediate(() => {
      api.pollClose(poll);
      process.exit(5);
    });
  },
  busy: () => {
    api.send(fd, batch, 0, 1);
    api.poll(fd, READABLE, () => {
      parentPort!.postMessage('busy');
      for (;;);
    });
  },
  tcp: () => {
    const at = Int32Array.of(0, 0, 0xffff, 0x7f000001, 0, 0, 0, 0);
    const listener = api.tcpListen(at, 1);
    api.tcpName(listener, at);
    const client = api.tcpConnect(at);
    if (listener < 0 || client < 0) throw new Error('no TCP socket');
    if (api.udpOpen(Int32Array.of(0, 0, 0xffff, 0x7f000001, 0, 0, 0, 0), 1 << 16) < 0) throw new Error('no UDP socket');
    api.pollReactor(() => {});
    parentPort!.once('message', () => process.exit(5));
  },
  throw: () => {
    parentPort!.once('message', () => {
      api.poll(fd, WRITABLE, () => {
        throw new Error('thrown in a worker');
      });
    });
  },
};

scenarios[workerData.scenario]!();
if (workerData.scenario !== 'busy') parentPort!.postMessage('ready');
