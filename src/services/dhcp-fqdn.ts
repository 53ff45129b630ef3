// What a DHCP client says it is called: option 12 (RFC 2132 section 3.14) or option 81 (client FQDN, RFC 4702), and the
// answer to the latter.
//
//     flags: 0 0 0 0 N E O S     N  no DNS updates by the server    E  the name is in DNS encoding, else ASCII
//                                O  the server overrode S           S  the server updates the address record
//
// Names of guests are local: the router answers for them itself, so it takes the "update" of the address record over from
// every client that has not forbidden it (N). Only the first label counts; the domain is the server's to choose.

import * as dhcpv4 from '../wire/dhcpv4.ts';

const FLAG_S = 0x01;
const FLAG_O = 0x02;
const FLAG_E = 0x04;
const FLAG_N = 0x08;
/** Flags and the two obsolete result codes in front of the name (RFC 4702 section 2). */
const FIXED_LEN = 3;
const OBSOLETE_RCODE = 255; // section 2.2: what servers send in these
const MAX_LABEL = 63;

/**
 * The label that the client asks to be known by, as it wrote it; '' when it asks for none. It is a guest's: check it.
 *
 * @param domain  the domain of the network, '' for none: option 12 may be qualified by it
 */
export function requestedName(m: dhcpv4.DhcpMessage, domain: string): string {
  const fqdn = m.options.get(dhcpv4.OPTION_CLIENT_FQDN);
  if (fqdn !== undefined && fqdn.length >= FIXED_LEN) {
    const label = firstLabel(fqdn);
    if (label !== '') return label; // section 3.1: option 12 beside it does not count
  }
  const name = dhcpv4.readText(m.options.get(dhcpv4.OPTION_HOST_NAME));
  const suffix = `.${domain}`.toLowerCase();
  const qualified = domain !== '' && name.toLowerCase().endsWith(suffix);
  return qualified ? name.slice(0, -suffix.length) : name;
}

function firstLabel(fqdn: Uint8Array): string {
  if ((fqdn[0]! & FLAG_E) === 0) return dhcpv4.readText(fqdn.subarray(FIXED_LEN)).split('.')[0]!;
  return encodedLabel(fqdn, FIXED_LEN);
}

/** The first label of a name in DNS encoding at `o`, '' when it is none or does not lie in `b`. */
export function encodedLabel(b: Uint8Array, o: number): string {
  const len = b[o] ?? 0;
  const end = o + 1 + len;
  return len > MAX_LABEL || end > b.length ? '' : String.fromCharCode(...b.subarray(o + 1, end));
}

/**
 * Value of option 81 in the answer, or null: it is only sent to clients that sent one (RFC 4702 section 4).
 *
 * @param hostname  the label that the client has now, '' when the one it asked for was not accepted
 */
export function fqdnReply(m: dhcpv4.DhcpMessage, hostname: string, domain: string): Uint8Array | null {
  const asked = m.options.get(dhcpv4.OPTION_CLIENT_FQDN);
  if (asked === undefined || asked.length < FIXED_LEN) return null;
  const said = asked[0]!;
  const kept = said & FLAG_E;
  const none = (said & FLAG_N) !== 0 || hostname === '';
  const serves = none ? FLAG_N : FLAG_S;
  const overridden = (said & FLAG_N) === 0 && (said & FLAG_S) !== (serves & FLAG_S) ? FLAG_O : 0;
  const name = hostname === '' ? asked.slice(FIXED_LEN) : encodeName(hostname, domain, kept !== 0);
  const out = new Uint8Array(FIXED_LEN + name.length);
  out[0] = serves | overridden | kept;
  out[1] = out[2] = OBSOLETE_RCODE;
  out.set(name, FIXED_LEN);
  return out;
}

/** A full name ends with the root label, one without domain is partial and does not (section 2.3.1). */
export function encodeName(hostname: string, domain: string, encoded: boolean): Uint8Array {
  const name = domain === '' ? hostname : `${hostname}.${domain}`;
  if (!encoded) return dhcpv4.writeText(name);
  const full = dhcpv4.writeDomainSearch([name]);
  return domain === '' ? full.subarray(0, -1) : full;
}
