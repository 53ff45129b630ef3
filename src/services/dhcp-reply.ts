// What a DHCP server answers: which options, in which order, and where the answer goes (RFC 2131 sections 4.1 and 4.3.1).
//
// Order: 53, 54 and 51 first, then what the client asks for in the order of its list (RFC 2132 section 9.8: "must try"),
// then the rest, 82 last. An answer that does not fit the options field has the mask, the router and DNS in front instead,
// because what comes last may have to be left out.

import { formatIpv4, ipv4Mask } from '../core/address.ts';
import type { DhcpMessage } from '../wire/dhcpv4.ts';
import * as dhcpv4 from '../wire/dhcpv4.ts';
import { fqdnReply } from './dhcp-fqdn.ts';

/** An answer on its way: the caller wraps it in UDP (from port 67 of the server's address), IPv4 and Ethernet. */
export interface DhcpReply {
  /** The message; its own memory. */
  readonly payload: Uint8Array;
  /** IPv4 destination, unsigned: 255.255.255.255 or the client's address. */
  readonly destination: number;
  readonly destinationPort: number;
  /** Ethernet destination: upper 16 and lower 32 bits, unsigned; all ones for broadcast. */
  readonly macHi: number;
  readonly macLo: number;
}

/** What clients are told beside their address. */
export interface DhcpConfig {
  /** Address of the server, which is the router: options 54 and 3, and siaddr. Unsigned. */
  readonly router: number;
  readonly prefixLen: number;
  /** Network address, unsigned. */
  readonly network: number;
  /** Option 6; may be empty. */
  readonly dns: readonly number[];
  readonly leaseSec: number;
  /** Leaves out options 3 and 6: guests talk among themselves only. */
  readonly restricted: boolean;
  /** Option 15, 26, 119; '', 0 or empty: not sent. */
  readonly domain: string;
  readonly mtu: number;
  readonly search: () => readonly string[];
  /** Boot server, unsigned, and boot file: siaddr, `file`, options 66 and 67; 0 and '' when not configured. */
  readonly nextServer: number;
  readonly bootFile: string;
  /** Option 121, the default route included; empty: not sent. */
  readonly routes: readonly dhcpv4.ClasslessRoute[];
  /** Any other option that clients are sent when they ask for it. */
  readonly extra: ReadonlyMap<number, Uint8Array>;
}

const BROADCAST = 0xffffffff;

/** Which kind of answer. BOOTP answers carry no option that only DHCP knows (RFC 1534 section 2). */
export type ReplyKind = 'offer' | 'ack' | 'inform' | 'bootp';

/**
 * The answer that gives (or, for INFORM, does not give) an address.
 *
 * @param address   yiaddr, unsigned; 0 for none
 * @param hostname  option 12 if asked for; '' for none
 */
export function grant(
  config: DhcpConfig,
  request: DhcpMessage,
  kind: ReplyKind,
  address: number,
  hostname: string,
): DhcpReply {
  const options = new Map<number, Uint8Array>();
  if (kind !== 'bootp') {
    options.set(dhcpv4.OPTION_MESSAGE_TYPE, dhcpv4.writeU8(kind === 'offer' ? dhcpv4.OFFER : dhcpv4.ACK));
    options.set(dhcpv4.OPTION_SERVER_ID, dhcpv4.writeAddresses(config.router));
  }
  if (kind === 'offer' || kind === 'ack') options.set(dhcpv4.OPTION_LEASE_TIME, dhcpv4.writeU32(config.leaseSec));
  options.set(dhcpv4.OPTION_SUBNET_MASK, dhcpv4.writeU32(ipv4Mask(config.prefixLen)));
  if (!config.restricted) {
    options.set(dhcpv4.OPTION_ROUTERS, dhcpv4.writeAddresses(config.router));
    if (config.dns.length > 0) options.set(dhcpv4.OPTION_DNS_SERVERS, dhcpv4.writeAddresses(...config.dns));
  }
  const asked = request.options.get(dhcpv4.OPTION_PARAMETER_LIST);
  for (const code of asked ?? DEFAULT_PARAMETERS) {
    const value = parameter(config, code, kind, hostname);
    if (value !== null && !options.has(code)) options.set(code, value);
  }
  const fqdn = kind === 'bootp' ? null : fqdnReply(request, hostname, config.domain);
  if (fqdn !== null) options.set(dhcpv4.OPTION_CLIENT_FQDN, fqdn);
  echo(request, options);
  const inFull = asked !== undefined && dhcpv4.fits(options, dhcpv4.maxReplyLen(request));
  const ordered = inFull ? inOrder(options, asked) : options;
  return finish(request, ordered, kind === 'offer' ? 0 : request.ciaddr, address, config);
}

/** In front whatever the client asks for, in this order. */
const FIRST: readonly number[] = [dhcpv4.OPTION_MESSAGE_TYPE, dhcpv4.OPTION_SERVER_ID, dhcpv4.OPTION_LEASE_TIME];

/** The same options in the order of the parameter list, as far as it goes. Option 82 stays last (RFC 3046 section 2.2). */
function inOrder(options: ReadonlyMap<number, Uint8Array>, asked: Uint8Array): Map<number, Uint8Array> {
  const out = new Map<number, Uint8Array>();
  for (const code of [...FIRST, ...asked, ...options.keys()]) {
    const value = options.get(code);
    if (value !== undefined && code !== dhcpv4.OPTION_RELAY_AGENT) out.set(code, value);
  }
  const agent = options.get(dhcpv4.OPTION_RELAY_AGENT);
  if (agent !== undefined) out.set(dhcpv4.OPTION_RELAY_AGENT, agent);
  return out;
}

/** What goes back to the client as it came. */
function echo(request: DhcpMessage, options: Map<number, Uint8Array>): void {
  const clientId = request.options.get(dhcpv4.OPTION_CLIENT_ID);
  if (clientId !== undefined) options.set(dhcpv4.OPTION_CLIENT_ID, clientId); // RFC 6842 section 3
  const agent = request.options.get(dhcpv4.OPTION_RELAY_AGENT);
  if (agent !== undefined) options.set(dhcpv4.OPTION_RELAY_AGENT, agent); // last: RFC 3046 section 2.2
}

/** DHCPNAK with a reason for the user of the client. Always broadcast: the client has no address that is good here. */
export function refuse(config: DhcpConfig, request: DhcpMessage, reason: string): DhcpReply {
  const options = new Map<number, Uint8Array>();
  options.set(dhcpv4.OPTION_MESSAGE_TYPE, dhcpv4.writeU8(dhcpv4.NAK));
  options.set(dhcpv4.OPTION_SERVER_ID, dhcpv4.writeAddresses(config.router));
  options.set(dhcpv4.OPTION_MESSAGE, dhcpv4.writeText(reason));
  echo(request, options);
  return finish(request, options, 0, 0, null);
}

/** What a client without a parameter list is sent beside the fixed options. */
const DEFAULT_PARAMETERS: readonly number[] = [dhcpv4.OPTION_DOMAIN_NAME, dhcpv4.OPTION_INTERFACE_MTU];

/** Value of an option that is sent on demand only, or null. */
function parameter(config: DhcpConfig, code: number, kind: ReplyKind, hostname: string): Uint8Array | null {
  switch (code) {
    case dhcpv4.OPTION_HOST_NAME:
      return hostname === '' ? null : dhcpv4.writeText(hostname);
    case dhcpv4.OPTION_DOMAIN_NAME:
      return config.domain === '' ? null : dhcpv4.writeText(config.domain);
    case dhcpv4.OPTION_INTERFACE_MTU:
      return config.mtu === 0 ? null : dhcpv4.writeU16(config.mtu);
    case dhcpv4.OPTION_BROADCAST_ADDRESS:
      return dhcpv4.writeU32((config.network | ~ipv4Mask(config.prefixLen)) >>> 0);
    case dhcpv4.OPTION_RENEWAL_TIME:
      return leased(kind) ? dhcpv4.writeU32(Math.floor(config.leaseSec * 0.5)) : null; // RFC 2131 section 4.4.5
    case dhcpv4.OPTION_REBINDING_TIME:
      return leased(kind) ? dhcpv4.writeU32(Math.floor(config.leaseSec * 0.875)) : null;
    case dhcpv4.OPTION_DOMAIN_SEARCH:
      return searchList(config.search());
    case dhcpv4.OPTION_TFTP_SERVER_NAME:
      return config.nextServer === 0 ? extra(config, code) : dhcpv4.writeText(formatIpv4(config.nextServer));
    case dhcpv4.OPTION_BOOT_FILE_NAME:
      return config.bootFile === '' ? extra(config, code) : dhcpv4.writeText(config.bootFile);
    case dhcpv4.OPTION_CLASSLESS_ROUTES:
      return config.routes.length === 0 ? null : dhcpv4.writeClasslessRoutes(config.routes);
    case dhcpv4.OPTION_MS_CLASSLESS_ROUTES:
      return extra(config, code) ?? parameter(config, dhcpv4.OPTION_CLASSLESS_ROUTES, kind, hostname);
    default:
      return extra(config, code);
  }
}

const extra = (config: DhcpConfig, code: number): Uint8Array | null => config.extra.get(code) ?? null;

function searchList(names: readonly string[]): Uint8Array | null {
  const value = dhcpv4.writeDomainSearch(names);
  return value.length === 0 ? null : value;
}

const leased = (kind: ReplyKind): boolean => kind === 'offer' || kind === 'ack';

/** Longest name that the field `file` holds; a longer one goes into option 67 only. */
const FILE_MAX = 127;

/** @param config  null for a refusal, which carries nothing but its reason */
function finish(
  request: DhcpMessage,
  options: Map<number, Uint8Array>,
  ciaddr: number,
  yiaddr: number,
  config: DhcpConfig | null,
): DhcpReply {
  const payload = dhcpv4.write(
    {
      op: dhcpv4.OP_REPLY,
      htype: dhcpv4.HTYPE_ETHERNET,
      hops: 0,
      xid: request.xid,
      secs: 0,
      flags: request.flags,
      ciaddr,
      yiaddr,
      siaddr: config === null ? 0 : config.nextServer || config.router,
      giaddr: request.giaddr,
      chaddr: request.chaddr,
      sname: config === null || config.nextServer === 0 ? '' : formatIpv4(config.nextServer),
      file: config === null || config.bootFile.length > FILE_MAX ? '' : config.bootFile,
      options,
    },
    dhcpv4.maxReplyLen(request),
  );
  const target = ciaddr !== 0 ? ciaddr : yiaddr;
  const flagged = ciaddr === 0 && (request.flags & dhcpv4.FLAG_BROADCAST) !== 0;
  const broadcast = flagged || target === 0;
  const c = request.chaddr;
  return {
    payload,
    destination: broadcast ? BROADCAST : target,
    destinationPort: dhcpv4.CLIENT_PORT,
    macHi: broadcast ? 0xffff : (c[0]! << 8) | c[1]!,
    macLo: broadcast ? 0xffffffff : ((c[2]! << 24) | (c[3]! << 16) | (c[4]! << 8) | c[5]!) >>> 0,
  };
}
