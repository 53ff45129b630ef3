// Policy rules as people write them: CIDR[:PORTS][/PROTOCOL].
//
//   10.0.0.0/8            everything there            192.0.2.7            that address
//   0.0.0.0/0:25/tcp      mail, wherever              192.0.2.0/24:1000-1999
//   10.1.2.3:53/udp       one service                 0.0.0.0/0/icmp       ping
//
//   2001:db8::/32         IPv6; with PORTS the address stands in brackets
//   [2001:db8::7]:443/tcp
//   [2001:db8::]/32:443
//
// PORTS is a port or a range. Without PROTOCOL a rule holds for all; one with ports, for TCP and UDP.

import { formatAddress, MAPPED, parseAddress } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { ALL_PROTOCOLS, maskWord, PolicyProtocol, type PolicyRule } from '../router/index.ts';

const PROTOCOLS: Readonly<Record<string, number>> = {
  tcp: PolicyProtocol.Tcp,
  udp: PolicyProtocol.Udp,
  icmp: PolicyProtocol.Icmp,
};
const MAX_PORT = 65_535;
/** Address in brackets or without, length, ports, protocol; an IPv6 address without brackets has no ports. */
const RULE = /^(?:\[([^\]]*)\]|([^/[:]*:[^/[:]*:[^/[]*|[^/:]*))(?:\/(\d{1,3}))?(?::([^/]*))?(?:\/([a-z]+))?$/i;

/** What follows `--allow` and `--deny`, for hints. */
export const POLICY_FORM = 'expected CIDR[:PORT[-PORT]][/tcp|/udp|/icmp], for example 192.0.2.0/24:443/tcp';

/**
 * Parses one rule.
 *
 * @throws VdeError  ERR_VDE_BAD_POLICY, with what is wrong but not the rule itself
 */
export function parsePolicyRule(allow: boolean, text: string): PolicyRule {
  const bad = (why: string): never => {
    throw new VdeError('ERR_VDE_BAD_POLICY', why);
  };
  const m = RULE.exec(text);
  if (m === null) return bad('it does not have the form CIDR[:PORTS][/PROTOCOL]');
  const [, bracketed, plain, lenText, portText, protocolText] = m;
  const addressText = bracketed ?? plain ?? '';
  const words = parseAddress(addressText);
  if (words === null || (bracketed !== undefined && !bracketed.includes(':'))) {
    return bad(`'${addressText}' is not an IP address`);
  }
  const isIpv4 = !addressText.includes(':');
  if (!isIpv4 && words[2] === MAPPED && (words[0] | words[1]) === 0)
    return bad(`write '${addressText}' as IPv4 address`);
  const most = isIpv4 ? 32 : 128;
  const prefixLen = lenText === undefined ? most : Number(lenText);
  if (prefixLen > most) return bad(`the prefix length ${lenText} is above ${most}`);
  const bits = isIpv4 ? prefixLen + 96 : prefixLen;
  const mask = (i: number): number => maskWord(bits, i);
  const network = [words[0] & mask(0), words[1] & mask(1), words[2] & mask(2), words[3] & mask(3)] as const;
  if (network.some((word, i) => word !== words[i]))
    return bad(`${addressText}/${prefixLen} has host bits; did you mean ${formatAddress(...network)}?`);
  const [lowPort, highPort] = portText === undefined ? [0, MAX_PORT] : (portRange(portText) ?? [-1, -1]);
  if (lowPort < 0) return bad(`'${portText}' is not a port (1 to ${MAX_PORT}) or a range of ports`);
  const withPorts = portText !== undefined;
  if (protocolText === undefined) {
    const protocols = withPorts ? PolicyProtocol.Tcp | PolicyProtocol.Udp : ALL_PROTOCOLS;
    return { allow, network, prefixLen, lowPort, highPort, protocols };
  }
  const protocols = PROTOCOLS[protocolText.toLowerCase()];
  if (protocols === undefined) return bad(`'${protocolText}' is not tcp, udp or icmp`);
  if (withPorts && protocols === PolicyProtocol.Icmp) return bad('ICMP has no ports');
  return { allow, network, prefixLen, lowPort, highPort, protocols };
}

/** `N` or `N-M`, 1 to 65535 and not falling; null when it is neither. */
export function portRange(text: string): [low: number, high: number] | null {
  const m = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (m === null) return null;
  const low = Number(m[1]);
  const high = m[2] === undefined ? low : Number(m[2]);
  return low >= 1 && low <= high && high <= MAX_PORT ? [low, high] : null;
}

/** The rule in the form that parsePolicyRule takes, without its verdict. */
export function formatPolicyRule(rule: PolicyRule): string {
  const { lowPort, highPort, protocols } = rule;
  const withPorts = lowPort > 0;
  const ports = withPorts ? `:${lowPort === highPort ? lowPort : `${lowPort}-${highPort}`}` : '';
  const name = Object.keys(PROTOCOLS).find((key) => PROTOCOLS[key] === protocols);
  const address = formatAddress(...rule.network);
  const shown = withPorts && address.includes(':') ? `[${address}]` : address;
  return `${shown}/${rule.prefixLen}${ports}${name === undefined ? '' : `/${name}`}`;
}
