// Telling a guest what became of a datagram: the ICMP error that came back for it, or the one that an errno stands for.
//
// An ICMP error keeps type, code and next-hop MTU, and comes from the router or host that sent it, so that traceroute and
// path MTU discovery work through us. It comes from the gateway when this host sent it itself, or when the offender's
// address could not be one beyond the router. Where the host's flow is of the other family than the guest's, the error is
// translated (RFC 7915), and its sender shown by the prefix of the flow.

import type { ErrnoName, IcmpReport } from '../host/host-net.ts';
import { TranslatedError } from '../wire/icmp-translate.ts';
import * as icmpv4 from '../wire/icmpv4.ts';
import * as icmpv6 from '../wire/icmpv6.ts';
import type { RouterContext } from './context.ts';
import { datagramVerdict, Verdict } from './host-errors.ts';
import { presentAs } from './presentable.ts';
import type { Quote } from './quote.ts';

const translated = new TranslatedError();

/**
 * Sends the ICMP error that a failed datagram of a guest means, if it means one.
 *
 * @param quote     the packet as the guest sent it
 * @param hostIpv4  family of the host's socket
 * @param via       prefix by which the guest knows IPv4 addresses, VIA_NONE where it does not
 * @param code      errno of the host socket
 * @param report    the ICMP error that was the reason, when it is known
 */
export function tellGuest(
  context: RouterContext,
  quote: Quote,
  hostIpv4: boolean,
  via: number,
  code: ErrnoName,
  report: IcmpReport | undefined,
): void {
  const { ip } = context;
  const { bytes, len } = quote;
  if (report !== undefined && (hostIpv4 ? icmpv4.isError(report.type) : icmpv6.isError(report.type))) {
    relayReport(context, bytes, len, hostIpv4, via, report);
    return;
  }
  const verdict = datagramVerdict(code);
  if (verdict !== Verdict.Silence) ip.errors.about(bytes, 0, len, verdict);
}

/**
 * Sends a guest the ICMP error that came back for what it sent. `bytes` from 0 to `len` is that packet: IP header and at
 * least eight bytes. False when the report is no error, or one that the guest's family does not have.
 */
export function relayReport(
  context: RouterContext,
  bytes: Uint8Array,
  len: number,
  hostIpv4: boolean,
  via: number,
  report: IcmpReport,
): boolean {
  const { ip, translation } = context;
  const { type, code, mtu, offender } = report;
  if (!(hostIpv4 ? icmpv4.isError(type) : icmpv6.isError(type))) return false;
  const isIpv4 = bytes[0]! >>> 4 === 4;
  const source = offender === null ? null : presentAs(ip, translation, isIpv4, via, offender);
  if (hostIpv4 === isIpv4) {
    ip.errors.relay(bytes, 0, len, type, code, isIpv4 ? mtu & 0xffff : mtu, source);
    return true;
  }
  // A report does not say where a parameter problem points.
  const pointless = hostIpv4 && type === icmpv4.TYPE_PARAMETER_PROBLEM;
  const value = pointless ? -1 : mtu;
  if (!(hostIpv4 ? translated.fromIpv4(type, code, value) : translated.fromIpv6(type, code, value))) return false;
  ip.errors.relay(bytes, 0, len, translated.type, translated.code, translated.rest, source);
  return true;
}
