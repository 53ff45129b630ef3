// Telling a guest what became of a datagram: the ICMP error that came back for it, or the one that an errno stands for.
//
// An ICMP error keeps type, code and next-hop MTU, and comes from the router or host that sent it, so that traceroute and
// path MTU discovery work through us. It comes from the gateway when this host sent it itself, or when the offender's
// address could not be one beyond the router.

import type { ErrnoName, IcmpReport } from '../host/host-net.ts';
import type { IpLayer } from '../ip/index.ts';
import { putU16, putU32 } from '../wire/bytes.ts';
import * as checksum from '../wire/checksum.ts';
import * as icmp from '../wire/icmpv4.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as udp from '../wire/udp.ts';
import { datagramVerdict } from './host-errors.ts';
import { isPresentable } from './presentable.ts';

/** Bytes that an error about a datagram quotes: IP and UDP header (RFC 792: the first 64 bits of the datagram's data). */
export const UDP_QUOTE_LEN = ipv4.HEADER_LEN + udp.HEADER_LEN;

/**
 * Sends the ICMP error that a failed IPv4 datagram of a guest means, if it means one.
 *
 * @param quote   the packet as the guest sent it: IP header without options, first 8 bytes of its payload
 * @param code    errno of the host socket
 * @param report  the ICMP error that was the reason, when it is known
 */
export function tellGuest(ip: IpLayer, quote: Uint8Array, code: ErrnoName, report: IcmpReport | undefined): void {
  if (report !== undefined && icmp.isError(report.type)) {
    const source = sourceOf(ip, report);
    ip.errors.about(quote, 0, quote.length, report.type, report.code, report.mtu & 0xffff, source);
    return;
  }
  const verdict = datagramVerdict(code);
  if (verdict >= 0) ip.errors.about(quote, 0, quote.length, icmp.TYPE_UNREACHABLE, verdict, 0);
}

/** Address that an error comes from, unsigned. */
function sourceOf(ip: IpLayer, report: IcmpReport): number {
  const { offender } = report;
  if (offender === null || !isPresentable(offender, ip)) return ip.addresses[0]!;
  return offender.w3 >>> 0;
}

/** Puts another destination into the quote of a UDP datagram, and the header's checksum right. */
export function readdress(quote: Uint8Array, dst3: number, dstPort: number): void {
  putU32(quote, 16, dst3);
  putU16(quote, ipv4.HEADER_LEN + 2, dstPort);
  putU16(quote, 10, 0);
  putU16(quote, 10, checksum.finish(checksum.partial(quote, 0, ipv4.HEADER_LEN, 0)));
}
