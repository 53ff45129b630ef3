// Port forwards as people write them: [ADDR:]PORT[-PORT]:GUEST[:PORT[-PORT]].
//
//   8022:10.0.2.15:22               all addresses of the host (the original's form)
//   127.0.0.1:8022:10.0.2.15:22     one address
//   8000-8009:10.0.2.15             ten ports, the same ones at the guest
//   8000-8009:10.0.2.15:9000-9009   ten ports, moved
//   0:10.0.2.15:22                  any free port of the host, which is printed
//   8080:web:80                     the guest that has the DHCP host name `web` when a client comes
//   8080:52:54:00:12:34:56:80       the guest with that hardware address
//
//   [::1]:8080:[2001:db8::15]:80    IPv6 addresses are in brackets; the families of both sides may differ
//   [::]:8080:10.0.2.15:80          all IPv6 addresses of the host
//
// The original reads a fourth field silently as something else (`127.0.0.1:8022:...` listens on port 127) and takes any
// number for a port. Here everything that is not a forward is refused with the field that is wrong.

import { Endpoint, parseIpv4, parseMac } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { parseIpv6 } from '../core/ipv6-network.ts';
import { type ForwardRule, MAX_RANGE } from '../router/index.ts';
import { portRange } from './policy-text.ts';

/** What follows `-L` and `-U`, for hints. */
export const FORWARD_FORM = '[ADDR:]PORT:GUEST[:GUESTPORT]';

const MAC_FORM = /^[0-9a-f]{1,2}([:.-])[0-9a-f]{1,2}(?:\1[0-9a-f]{1,2}){4}(?=:|$)/i;
/** A host name (RFC 1123 section 2.1) that could not be meant as a number. */
const NAME_FORM = /^(?!\d+$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;

/** The fields of a forward, brackets and hardware addresses kept whole. */
function fieldsOf(text: string): string[] {
  const fields: string[] = [];
  let rest = text;
  for (;;) {
    const guestField = /[.[]/.test(fields[0] ?? '') ? 2 : 1;
    const whole = /^\[[^\]]*\]/.exec(rest) ?? (fields.length === guestField ? MAC_FORM.exec(rest) : null);
    const field = whole === null ? (rest.split(':', 1)[0] ?? '') : whole[0];
    fields.push(field);
    if (field.length >= rest.length) return fields;
    if (rest[field.length] !== ':') return [...fields, rest.slice(field.length)];
    rest = rest.slice(field.length + 1);
  }
}

/**
 * Parses one forward.
 *
 * @param everywhere  where a forward without an address listens, as in a forward: IPv6 in brackets
 * @throws VdeError  ERR_VDE_BAD_FORWARD, with what is wrong but not the forward itself
 */
export function parseForwardText(protocol: 'tcp' | 'udp', text: string, everywhere = '0.0.0.0'): ForwardRule {
  const bad = (why: string): never => {
    throw new VdeError('ERR_VDE_BAD_FORWARD', why);
  };
  const fields = fieldsOf(text);
  if (fields.length < 2 || fields.length > 4) return bad(`it has ${fields.length} fields, not 2 to 4`);
  // Three fields are ADDR:PORT:GUEST when the first looks like an address, else PORT:GUEST:GUESTPORT.
  const withAddress = fields.length === 4 || (fields.length === 3 && /[.[]/.test(fields[0]!));
  const listenText = withAddress ? fields.shift()! : everywhere;
  const [hostText, guestText, guestPortText] = fields as [string, string, string?];

  const listen = addressOf(listenText);
  if (listen === null)
    return bad(`the address to listen on '${listenText}' is not an IPv4 address, or IPv6 in brackets`);
  if (listen.isIpv4 ? listen.w3 >>> 28 >= 14 : listen.w0 >>> 24 === 0xff) {
    return bad(`the address to listen on '${listenText}' is a multicast, broadcast or reserved address`);
  }
  const anyPort = hostText === '0';
  const host = anyPort ? [0, 0] : portRange(hostText);
  if (host === null) return bad(`the host port '${hostText}' is not a port (1 to 65535, 0 for any) or a range`);
  if (anyPort && guestPortText === undefined) return bad('with host port 0 the guest port must be written');
  const guestPorts = guestPortText === undefined ? host : portRange(guestPortText);
  if (guestPorts === null) return bad(`the guest port '${guestPortText}' is not a port (1 to 65535) or a range`);
  const count = host[1]! - host[0]! + 1;
  if (guestPorts[1]! - guestPorts[0]! + 1 !== count) {
    return bad(`'${hostText}' and '${guestPortText}' are not ranges of the same length`);
  }
  if (count > MAX_RANGE) return bad(`the range '${hostText}' has more than ${MAX_RANGE} ports`);
  const address = addressOf(guestText);
  const name = address === null ? guestName(guestText) : null;
  if (address === null && name === null) {
    return bad(
      `the guest address '${guestText}' is not an IPv4 address, IPv6 in brackets, a host name or a hardware address`,
    );
  }
  const guest = address ?? new Endpoint().setIpv4(0, 0);
  listen.port = host[0]!;
  guest.port = guestPorts[0]!;
  return { protocol, listen, guest, guestName: name, count };
}

/** The address of `a.b.c.d` or `[v6]`, port 0; null for all else. */
export function addressOf(text: string): Endpoint | null {
  const v4 = parseIpv4(text);
  if (v4 >= 0) return new Endpoint().setIpv4(v4, 0);
  const inner = /^\[([^\]]*)\]$/.exec(text);
  const words = inner === null ? null : parseIpv6(inner[1]!);
  return words === null ? null : new Endpoint().set(...words, 0);
}

/** A guest's name as Forwards keeps it: hardware addresses as `aa:bb:cc:dd:ee:ff`, host names in lower case. */
function guestName(text: string): string | null {
  const mac = parseMac(text);
  if (mac !== null) return [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
  return NAME_FORM.test(text) ? text.toLowerCase() : null;
}

const portsText = (first: number, count: number): string =>
  count === 1 ? `${first}` : `${first}-${first + count - 1}`;

/** An address as it stands in a forward: IPv6 in brackets. */
const addressText = (e: Endpoint): string => (e.isIpv4 ? e.host : `[${e.host}]`);

/** The forward in the form that parseForwardText takes; in the classic form where that says all. */
export function formatForward(rule: ForwardRule): string {
  const { listen, guest, guestName: name = null, count = 1 } = rule;
  const all = listen.isIpv4 && listen.w3 === 0;
  const from = `${all ? '' : `${addressText(listen)}:`}${portsText(listen.port, count)}`;
  return `${from}:${name ?? addressText(guest)}:${portsText(guest.port, count)}`;
}

/** True when the forward is open on all addresses of the host, of one family. */
export const listensEverywhere = ({ listen: { isIpv4, w0, w1, w2, w3 } }: ForwardRule): boolean =>
  isIpv4 ? w3 === 0 : (w0 | w1 | w2 | w3) === 0;
