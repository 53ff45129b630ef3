// Policy rules as people write them: CIDR[:PORTS][/PROTOCOL].
//
//   10.0.0.0/8            everything there            192.0.2.7            that address
//   0.0.0.0/0:25/tcp      mail, wherever              192.0.2.0/24:1000-1999
//   10.1.2.3:53/udp       one service                 0.0.0.0/0/icmp       ping
//
// PORTS is a port or a range. Without PROTOCOL a rule holds for all; one with ports, for TCP and UDP.

import { formatIpv4, ipv4Mask, parseIpv4 } from '../core/address.ts';
import { VdeError } from '../core/errors.ts';
import { ALL_PROTOCOLS, PolicyProtocol, type PolicyRule } from '../router/index.ts';

const PROTOCOLS: Readonly<Record<string, number>> = {
  tcp: PolicyProtocol.Tcp,
  udp: PolicyProtocol.Udp,
  icmp: PolicyProtocol.Icmp,
};
const MAX_PORT = 65_535;

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
  const m = /^([^/:]*)(?:\/(\d{1,2}))?(?::([^/]*))?(?:\/([a-z]+))?$/i.exec(text);
  if (m === null) return bad('it does not have the form CIDR[:PORTS][/PROTOCOL]');
  const [, addressText = '', lenText, portText, protocolText] = m;
  const address = parseIpv4(addressText);
  if (address < 0) return bad(`'${addressText}' is not an IPv4 address`);
  const prefixLen = lenText === undefined ? 32 : Number(lenText);
  if (prefixLen > 32) return bad(`the prefix length ${lenText} is above 32`);
  const network = (address & ipv4Mask(prefixLen)) >>> 0;
  if (network !== address)
    return bad(`${addressText}/${prefixLen} has host bits; did you mean ${formatIpv4(network)}?`);
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
  return `${formatIpv4(rule.network)}/${rule.prefixLen}${ports}${name === undefined ? '' : `/${name}`}`;
}
