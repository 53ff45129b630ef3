// A namespace behind the server, so that there is a router on the way:
//
//     world 198.51.100.1 ==== 198.51.100.2 server 203.0.113.1 ==== 203.0.113.2 far
//
// The server forwards, and refuses two addresses.
import { type Lab, SERVER } from './lab.ts';
import { cable } from './namespace.ts';

export const FAR = '203.0.113.2';
export const UNREACHABLE = '203.0.113.65';
export const PROHIBITED = '203.0.113.66';
const FAR_ROUTER = '203.0.113.1';

export async function farther(lab: Lab): Promise<void> {
  const far = await lab.addSpace('far');
  await cable(lab.server, ['far0', `${FAR_ROUTER}/24`], far, ['eth0', `${FAR}/24`]);
  await far.must(['ip', 'route', 'add', 'default', 'via', FAR_ROUTER]);
  await lab.world.must(['ip', 'route', 'add', '203.0.113.0/24', 'via', SERVER]);
  await lab.server.sysctl('net.ipv4.ip_forward', '1');
  await lab.server.sysctl('net.ipv4.icmp_ratelimit', '0');
  await far.sysctl('net.ipv4.icmp_ratelimit', '0');
  await lab.server.must(['ip', 'route', 'add', 'unreachable', UNREACHABLE]);
  await lab.server.must(['ip', 'route', 'add', 'prohibit', PROHIBITED]);
}
