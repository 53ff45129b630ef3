// The resolver configuration of the host, resolv.conf(5): which servers to ask, and the search list.

import { Endpoint, parseAddress } from '../core/address.ts';

/** Upstream servers to ask, in order of preference. */
export interface UpstreamList {
  /**
   * The servers at this moment, at most MAX_NAMESERVERS. The same array is given until the list changes. Endpoints must
   * not be changed by the caller.
   */
  servers(): readonly Endpoint[];
  /** A server failed: the list may be out of date, look again before the next `servers`. */
  suspect(): void;
}

export interface ResolvConf {
  /** Servers with port 53, at least one. Zones of link-local addresses are kept. */
  readonly servers: readonly Endpoint[];
  /** Domains to try for short names; the last `search` or `domain` line counts. */
  readonly search: readonly string[];
}

export const DNS_PORT = 53;
/** Servers beyond these are ignored, as MAXNS of the C library has it. */
export const MAX_NAMESERVERS = 3;
const MAX_SEARCH = 32;

/** What the C library does without a configuration: ask this machine. */
const LOCAL_SERVER = new Endpoint().setIpv4(0x7f000001, DNS_PORT);

/**
 * Reads the text of a resolv.conf. Lines that are not understood are skipped, as every resolver does; without a usable
 * `nameserver` line 127.0.0.1 is the server.
 */
export function parseResolvConf(text: string): ResolvConf {
  const servers: Endpoint[] = [];
  let search: string[] = [];
  for (const line of text.split('\n')) {
    const words = line.split(/[ \t\r\f\v]+/);
    // Keywords start in the first column; `#` and `;` there begin a comment.
    switch (words[0]) {
      case 'nameserver': {
        const server = words[1] === undefined ? null : parseServer(words[1]);
        if (server !== null && servers.length < MAX_NAMESERVERS) servers.push(server);
        break;
      }
      case 'domain':
      case 'search':
        search = searchList(words.slice(1), words[0] === 'domain' ? 1 : MAX_SEARCH);
        break;
    }
  }
  return { servers: servers.length > 0 ? servers : [LOCAL_SERVER], search };
}

function parseServer(text: string): Endpoint | null {
  const percent = text.indexOf('%');
  const words = parseAddress(percent < 0 ? text : text.slice(0, percent));
  if (words === null) return null;
  const server = new Endpoint().set(words[0], words[1], words[2], words[3], DNS_PORT);
  if (percent >= 0) {
    const zone = text.slice(percent + 1);
    if (server.isIpv4 || !/^[\w.:-]{1,32}$/.test(zone)) return null;
    server.zone = zone;
  }
  // 0.0.0.0 and :: mean "this host" to resolvers; naming it spares the socket layer the special case.
  if (server.isIpv4 && server.w3 === 0) server.setIpv4(0x7f000001, DNS_PORT);
  else if ((server.w0 | server.w1 | server.w2 | server.w3) === 0) server.set(0, 0, 0, 1, DNS_PORT);
  return server;
}

function searchList(words: readonly string[], limit: number): string[] {
  const out: string[] = [];
  for (const word of words) {
    if (word.startsWith('#') || word.startsWith(';')) break;
    const name = word.replace(/\.$/, '');
    if (name.length > 253 || !/^[\w-]{1,63}(\.[\w-]{1,63})*$/.test(name)) continue;
    if (out.length < limit && !out.includes(name)) out.push(name);
  }
  return out;
}
