// Who ended a connect: the errno and the ICMP error that a guest's own kernel tells of a SYN.

import { release } from 'node:os';
import type { Guest } from './lab.ts';

const [major = 0, minor = 0] = release().split('.').map(Number);
/** Whether this kernel keeps ICMP errors about SYNs in the queue of errors: from Linux 5.18 on. */
export const TELLS_OFFENDER = major > 5 || (major === 5 && minor >= 18);

const SCRIPT = `
import errno, ipaddress, select, socket, struct, sys
address = sys.argv[1]
six = ":" in address
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
s.setsockopt(41 if six else 0, 25 if six else 11, 1)  # IPV6_RECVERR, IP_RECVERR
s.setblocking(False)
s.connect_ex((address, 80))
poll = select.poll()
poll.register(s, select.POLLOUT)
if not poll.poll(10000):
    sys.exit("no answer")
code = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
line = errno.errorcode.get(code, "connected")
try:
    for level, kind, data in s.recvmsg(512, 512, socket.MSG_ERRQUEUE)[1]:
        who = data[24:40] if six else data[20:24]
        line += " %d/%d of %s" % (data[5], data[6], ipaddress.ip_address(who))
except BlockingIOError:
    line += " without an ICMP error"
print(line)
`;

/** Connects to port 80 of an address; `ERRNO TYPE/CODE of OFFENDER`. */
export const connectError = async (guest: Guest, address: string): Promise<string> =>
  (await guest.must(['python3', '-c', SCRIPT, address], { timeoutMs: 20_000 })).trim();
