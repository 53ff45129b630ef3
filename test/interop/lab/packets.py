# Packets that no Linux kernel sends, by scapy, from a station of its own on the guest's tap0: `packets.py SERVER`.
# Prints one line of JSON: what came back of each experiment. The lab's server (server.ts) is what they talk to.
import json
import sys
import time

from scapy.all import (
    ARP, ICMP, IP, TCP, UDP, AsyncSniffer, Ether, IPOption_LSRR, IPOption_NOP, IPOption_RR, Raw, conf, defragment,
    fragment, sendp, srp1,
)

conf.verb = 0
conf.iface = "tap0"
SERVER = sys.argv[1]
GATEWAY = "10.0.2.2"
MAC = "52:54:00:77:77:77"
ADDRESS = "10.0.2.77"
ECHO = 7003  # UDP: sends each datagram back
DIGEST = 7001  # TCP: reads to the end, then answers with length and digest

router = srp1(Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=MAC, psrc=ADDRESS, pdst=GATEWAY), timeout=5)[ARP].hwsrc
ether = Ether(src=MAC, dst=router)
# Whoever had this address before is asked for three seconds whether it still has: a test before may have made it up.
for _ in range(20):
    if srp1(ether / IP(src=ADDRESS, dst=GATEWAY) / ICMP(), timeout=1) is not None:
        break
ports = iter(range(40000, 41000))


def ip(**fields):
    return IP(src=ADDRESS, dst=SERVER, **fields)


def exchange(packets, seconds=0.6):
    """Sends frames in order; all IP packets that came for us meanwhile, fragments put together."""
    sniffer = AsyncSniffer(lfilter=lambda p: Ether in p and p[Ether].dst == MAC, started_callback=lambda: None)
    sniffer.start()
    time.sleep(0.15)  # until its socket is open
    for packet in packets:
        sendp(packet)
    time.sleep(seconds)
    got = sniffer.stop()
    for p in got:
        if ARP in p and p[ARP].op == 1:
            sendp(ether / ARP(op=2, hwsrc=MAC, psrc=ADDRESS, hwdst=router, pdst=p[ARP].psrc))
    return [p[IP] for p in defragment([p for p in got if IP in p])]


def echoed(packets, payload):
    """Whether the server's echo came back with this payload."""
    return any(UDP in p and bytes(p[UDP].payload)[: len(payload)] == payload for p in exchange(packets))


def datagram(payload, **fields):
    return ip(**fields) / UDP(sport=next(ports), dport=ECHO) / Raw(payload)


class Connection:
    """A TCP connection to the digest service, by hand."""

    def __init__(self):
        self.sport, self.seq = next(ports), 1000
        answer = self.say("S")
        self.open = answer is not None and str(answer.flags) == "SA"
        if not self.open:
            return
        self.seq, self.ack = 1001, answer.seq + 1
        self.say("A", wait=0.1)

    def segment(self, flags, data=b"", seq=None):
        ack = getattr(self, "ack", 0)
        header = TCP(sport=self.sport, dport=DIGEST, flags=flags, seq=self.seq if seq is None else seq, ack=ack)
        return ether / ip() / header / Raw(data)

    def say(self, flags, data=b"", seq=None, wait=0.5):
        """Sends a segment; the last segment of this connection that came back, or None."""
        got = [p[TCP] for p in exchange([self.segment(flags, data, seq)], wait) if TCP in p and p[TCP].dport == self.sport]
        return got[-1] if got else None

    def alive(self):
        """Whether data and the end still get the answer."""
        self.say("PA", b"hello")
        self.seq += 5
        got = exchange([self.segment("FA")], 1.0)
        return any(b"5 2cf24dba" in bytes(p[TCP].payload) for p in got if TCP in p)


def challenged(flags, offset):
    """A segment that an attacker might guess on an open connection: the flags that come back, and whether it lives."""
    c = Connection()
    answer = c.say(flags, seq=c.seq + offset)
    return [str(answer.flags) if answer is not None else "", c.alive()]


def exact_reset():
    c = Connection()
    c.say("R")
    answer = c.say("PA", b"hello")
    return str(answer.flags) if answer is not None else ""


def flags_for(port, packets):
    """The flags of what came back to our port, each once: a SYN,ACK that nobody acknowledges comes again."""
    return sorted({str(p[TCP].flags) for p in exchange(packets) if TCP in p and p[TCP].dport == port})


def first_fragment_of_syn(size):
    syn = ip(id=77) / TCP(sport=next(ports), dport=80, flags="S", options=[("MSS", 1460)])
    return flags_for(syn[TCP].sport, [ether / f for f in fragment(syn, fragsize=size)])


big = bytes(i % 251 for i in range(4000))
whole = datagram(big, id=4711)
frags = fragment(whole, fragsize=1200)
shifted = frags[1].copy()
shifted.frag -= 1  # begins in the middle of the one before
overlapping = [frags[0], shifted, *frags[1:]]
bad_udp = datagram(b"bad")
bad_udp[UDP].chksum = 0x1234
syn = ip() / TCP(sport=next(ports), dport=80, flags="S", chksum=0x1234)
errors = exchange([ether / ip(proto=132) / Raw(b"x" * 20)])

print(json.dumps({
    "fragments in order": echoed([ether / f for f in fragment(datagram(big, id=4710), fragsize=1200)], big),
    "last fragment first": echoed([ether / f for f in reversed(frags)], big),
    "overlapping fragments": echoed([ether / f for f in overlapping], big[:8]),
    "a whole TCP header in the first fragment": first_fragment_of_syn(24),
    "a TCP header torn by fragments": first_fragment_of_syn(8),
    "bad UDP checksum": echoed([ether / bad_udp], b"bad"),
    "bad TCP checksum": flags_for(syn[TCP].sport, [ether / syn]),
    "bad IP checksum": echoed([ether / datagram(b"ip", chksum=0x1234)], b"ip"),
    "no UDP checksum": echoed([ether / (ip() / UDP(sport=next(ports), dport=ECHO, chksum=0) / Raw(b"none"))], b"none"),
    "options without meaning": echoed([ether / datagram(b"nop", options=[IPOption_NOP()] * 4)], b"nop"),
    "record route": echoed([ether / datagram(b"rr", options=[IPOption_RR(routers=["0.0.0.0"])])], b"rr"),
    "source route": echoed([ether / datagram(b"lsrr", options=[IPOption_LSRR(routers=["192.0.2.9"])])], b"lsrr"),
    "SCTP": [[p[ICMP].type, p[ICMP].code, p.src] for p in errors if ICMP in p],
    "RST off by one": challenged("R", 1),
    "RST beyond the window": challenged("R", 0x7FFFFFF),
    "SYN on an open connection": challenged("S", 10),
    "RST at the exact sequence": exact_reset(),
}))
