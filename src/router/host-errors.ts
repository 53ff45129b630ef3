// What a failed host socket call means to the guest: the one table (the errno side of RFC 1122 4.2.3.9 and 4.1.3.3).

import { Reason } from '../ip/index.ts';

/** How a refusal is told: by RST, by an ICMP error (a Reason, 0 and above), or not at all. */
export const Verdict = { Reset: -1, Silence: -2 } as const;

/**
 * Connect failures. Lack of host resources is silence: the guest tries again, and the host may have recovered by then.
 */
const CONNECT: Readonly<Record<string, Reason | -1 | -2>> = {
  ECONNREFUSED: Verdict.Reset,
  ECONNRESET: Verdict.Reset,
  EPIPE: Verdict.Reset,
  EHOSTUNREACH: Reason.Address,
  EHOSTDOWN: Reason.Address,
  ETIMEDOUT: Reason.Address,
  ENETUNREACH: Reason.NoRoute,
  ENETDOWN: Reason.NoRoute,
  EINVAL: Reason.NoRoute,
  EAFNOSUPPORT: Reason.NoRoute,
  EACCES: Reason.Prohibited,
  EPERM: Reason.Prohibited,
  ENOPROTOOPT: Reason.Protocol,
  EADDRNOTAVAIL: Verdict.Silence,
  EAGAIN: Verdict.Silence, // the backlog of a Unix socket is full
  EMFILE: Verdict.Silence,
  ENFILE: Verdict.Silence,
  ENOBUFS: Verdict.Silence,
  ENOMEM: Verdict.Silence,
};

/**
 * What a guest is told when the host's connect failed with `code`. Without an address of its own family EADDRNOTAVAIL
 * means for an IPv6 destination that the host has no IPv6: it must fail fast (RFC 8305), another family may work.
 */
export function connectVerdict(code: string, isIpv4: boolean): Reason | -1 | -2 {
  if (code === 'EADDRNOTAVAIL' && !isIpv4) return Reason.NoRoute;
  return CONNECT[code] ?? Verdict.Reset;
}

/** What a guest is told when a datagram could not be sent or was answered with an error: an ICMP error, or silence. */
export function datagramVerdict(code: string): Reason | -2 {
  if (code === 'ECONNREFUSED') return Reason.Port;
  if (code === 'EMSGSIZE') return Reason.TooBig;
  const verdict = CONNECT[code] ?? Verdict.Silence;
  return verdict === Verdict.Reset ? Verdict.Silence : verdict;
}

/** Errors that say the host has run out of something: worth a line in the log. See connectVerdict for EADDRNOTAVAIL. */
export const isResourceError = (code: string, isIpv4: boolean): boolean =>
  code === 'EMFILE' ||
  code === 'ENFILE' ||
  code === 'ENOBUFS' ||
  code === 'ENOMEM' ||
  (isIpv4 && code === 'EADDRNOTAVAIL');
