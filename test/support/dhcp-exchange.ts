// A guest that gets its address by DHCP from a RouterHarness, in two messages.

import { formatIpv4 } from '../../src/core/address.ts';
import { u32 } from '../../src/wire/bytes.ts';
import { BROADCAST_MAC, udpFrame } from './guest-frames.ts';
import { hex } from './hex.ts';
import type { RouterHarness } from './router-harness.ts';

const YIADDR = 42 + 16;

/** Leases an address to a MAC with a host name ('' for none); the address. */
export function leaseTo(h: RouterHarness, mac: string, hostname: string): string {
  const option12 = hostname === '' ? '' : `0c${byte(hostname.length)}${Buffer.from(hostname).toString('hex')}`;
  const message = (options: string): Uint8Array =>
    udpFrame({
      src: '0.0.0.0',
      srcMac: mac,
      dst: '255.255.255.255',
      dstMac: BROADCAST_MAC,
      sport: 68,
      dport: 67,
      data: hex(
        `01010600 deadbeef 00008000 ${'00'.repeat(16)} ${mac.replaceAll(':', '')} ${'00'.repeat(10 + 64 + 128)} ` +
          `63825363 ${options} ${option12} ff`,
      ),
    });
  const atOnce = h.send(message('350101'));
  h.advance(200); // an address that is new to the client is probed first
  const offer = [...atOnce, ...h.link.take()].find((f) => f[23] === 17)!;
  const address = u32(offer, YIADDR);
  h.send(message(`350103 3604 0a000202 3204 ${address.toString(16).padStart(8, '0')}`));
  return formatIpv4(address);
}

const byte = (n: number): string => n.toString(16).padStart(2, '0');
