// What a DHCPv6 client says it is called: option 39 (client FQDN, RFC 4704), and the answer to it.
//
//     flags: 0 0 0 0 0 N O S     N  no DNS updates by the server     O  the server overrode S
//                                S  the server updates the AAAA record
//
// As with DHCP for IPv4 (dhcp-fqdn.ts) the names of guests are local, only the first label counts, and the "update" of the
// address record is taken over from every client that has not forbidden it. Names are always in DNS encoding here; one
// without its root label is partial (section 4.2).

import { encodedLabel, encodeName } from './dhcp-fqdn.ts';

const FLAG_S = 0x01;
const FLAG_O = 0x02;
const FLAG_N = 0x04;
const NAME_AT = 1;

/** The label that the client asks to be known by, as it wrote it; '' for none. It is a guest's: check it. */
export const requestedName6 = (fqdn: Uint8Array): string => encodedLabel(fqdn, NAME_AT);

/**
 * Value of option 39 in an answer.
 *
 * @param asked     the client's, at least one byte
 * @param hostname  the label that the client has now, '' when the one it asked for was not accepted
 */
export function fqdnReply6(asked: Uint8Array, hostname: string, domain: string): Uint8Array {
  const said = asked[0]!;
  const serves = (said & FLAG_N) !== 0 || hostname === '' ? FLAG_N : FLAG_S;
  const overridden = (said & FLAG_N) === 0 && (said & FLAG_S) !== (serves & FLAG_S) ? FLAG_O : 0;
  const name = hostname === '' ? asked.slice(NAME_AT) : encodeName(hostname, domain, true);
  const out = new Uint8Array(NAME_AT + name.length);
  out[0] = serves | overridden;
  out.set(name, NAME_AT);
  return out;
}
