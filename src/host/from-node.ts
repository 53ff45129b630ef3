// What Node's sockets say, in the terms of HostNet: errors as errno names, address texts as endpoints, and a failed
// listen as the error that its caller gets.

import { type Endpoint, parseAddress } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import type { ErrnoName } from './host-net.ts';

/** The errno name that an error of node:net or node:dgram carries; EIO for one that does not come from the system. */
export function errnoOf(error: unknown): ErrnoName {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code !== undefined && /^E[A-Z0-9]+$/.test(code) ? code : 'EIO';
}

/** Sets `endpoint` to a numeric address as Node prints it (a zone index is left out); false when it is not one. */
export function setFromText(endpoint: Endpoint, host: string | undefined, port: number | undefined): boolean {
  if (host === undefined || port === undefined) return false;
  const zone = host.indexOf('%');
  const words = parseAddress(zone < 0 ? host : host.slice(0, zone));
  if (words === null) return false;
  endpoint.set(words[0], words[1], words[2], words[3], port);
  return true;
}

const LISTEN_ADVICE: Record<ErrnoName, string> = {
  EADDRINUSE: 'another socket uses that port; choose another one, or see who it is with: ss -lnp',
  EADDRNOTAVAIL: 'the address is not one of this machine; ip address lists them',
  EACCES:
    'the system does not permit it; ports below 1024 need root, CAP_NET_BIND_SERVICE, or a lower sysctl net.ipv4.ip_unprivileged_port_start',
  EAFNOSUPPORT: 'the system has no such address family',
  EMFILE: 'too many open files in this process; raise ulimit -n',
  ENFILE: 'too many open files on this machine',
  ECANCELED: 'the router is shutting down',
};

/** ERR_VDE_LISTEN for `at`: what was tried, the errno, and what would help. */
export function listenError(protocol: 'TCP' | 'UDP', at: Endpoint, code: ErrnoName, cause?: unknown): VdeError {
  const advice = LISTEN_ADVICE[code];
  const text = `cannot listen on ${protocol} ${at}: ${code}${advice === undefined ? '' : `; ${advice}`}`;
  return new VdeError('ERR_VDE_LISTEN', text, cause === undefined ? undefined : { cause });
}
