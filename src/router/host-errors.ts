// What a failed host socket call means to the guest: the one table (the errno side of RFC 1122 4.2.3.9 and 4.1.3.3).

import * as icmp from '../wire/icmpv4.ts';

/** How a refusal is told: by RST, by an ICMP destination-unreachable code, or not at all. */
export const Verdict = { Reset: -1, Silence: -2 } as const;

/**
 * Connect failures. Codes of 0 and above are ICMP destination-unreachable codes. Lack of host resources is silence: the
 * guest tries again, and the host may have recovered by then.
 */
const CONNECT: Readonly<Record<string, number>> = {
  ECONNREFUSED: Verdict.Reset,
  ECONNRESET: Verdict.Reset,
  EPIPE: Verdict.Reset,
  EHOSTUNREACH: icmp.CODE_HOST,
  EHOSTDOWN: icmp.CODE_HOST,
  ETIMEDOUT: icmp.CODE_HOST,
  ENETUNREACH: icmp.CODE_NET,
  ENETDOWN: icmp.CODE_NET,
  EINVAL: icmp.CODE_NET,
  EAFNOSUPPORT: icmp.CODE_NET,
  EACCES: icmp.CODE_ADMIN_PROHIBITED,
  EPERM: icmp.CODE_ADMIN_PROHIBITED,
  ENOPROTOOPT: icmp.CODE_PROTOCOL,
  EADDRNOTAVAIL: Verdict.Silence,
  EAGAIN: Verdict.Silence, // the backlog of a Unix socket is full
  EMFILE: Verdict.Silence,
  ENFILE: Verdict.Silence,
  ENOBUFS: Verdict.Silence,
  ENOMEM: Verdict.Silence,
};

/** What a guest is told when the host's connect failed with `code`. */
export const connectVerdict = (code: string): number => CONNECT[code] ?? Verdict.Reset;

/** What a guest is told when a datagram could not be sent or was answered with an error: an ICMP code, or silence. */
export function datagramVerdict(code: string): number {
  if (code === 'ECONNREFUSED') return icmp.CODE_PORT;
  if (code === 'EMSGSIZE') return icmp.CODE_FRAGMENTATION_NEEDED;
  const verdict = CONNECT[code] ?? Verdict.Silence;
  return verdict >= 0 ? verdict : Verdict.Silence;
}

/** Errors that say the host has run out of something: worth a line in the log. */
export const isResourceError = (code: string): boolean =>
  code === 'EMFILE' || code === 'ENFILE' || code === 'ENOBUFS' || code === 'ENOMEM' || code === 'EADDRNOTAVAIL';
