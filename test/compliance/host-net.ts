// What every back end of HostNet must do, shown with real servers and clients on loopback. The back end's own test file
// calls hostNetCompliance once; tests run at the same time, each with a HostNet of its own.

import { listenTests } from './host-net-listen.ts';
import type { OpenHost } from './host-net-peers.ts';
import { type BackEnd, processTests } from './host-net-process.ts';
import { tcpTests } from './host-net-tcp.ts';
import { udpTests } from './host-net-udp.ts';
import { unixTests } from './host-net-unix.ts';

export function hostNetCompliance(backEnd: BackEnd): void {
  const { name } = backEnd;
  const open: OpenHost = (t) => {
    const host = backEnd.create();
    t.teardown(() => host.close());
    return host;
  };

  tcpTests(name, open);
  listenTests(name, open);
  udpTests(name, open);
  unixTests(name, open);
  processTests(backEnd);
}
