# A station that sends what no kernel sends, on a guest's tap0, by scapy. Reads one JSON object a line and answers each by
# a line of JSON; what it hears is kept until it is asked for.
#
#   {"send": EXPR, "end": TEXT}   the packets of a scapy expression, each with TEXT behind it -> {}
#   {"flood": N, "dst": MAC}      N frames of 60 bytes, each from another station -> {}
#   {"repeat": N, "send": EXPR}   the same packet N times -> {}
#   {"heard": TEXT}               how many frames with TEXT were heard since the start -> {"count": N}
import json
import os
import socket
import sys
import threading

from scapy.layers.dhcp import *  # the names that expressions may use; all of scapy takes seconds more to load
from scapy.layers.dhcp6 import *
from scapy.layers.inet import *
from scapy.layers.inet6 import *
from scapy.layers.l2 import *
from scapy.packet import Raw
from scapy.utils import mac2str

ETH_P_ALL = 3
OUTGOING = 4
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
sock.bind(("tap0", 0))
frames = []


def listen():
    while True:
        data, address = sock.recvfrom(65536)
        if address[2] != OUTGOING:
            frames.append(data)


def serve(order):
    if "heard" in order:
        text = order["heard"].encode()
        return {"count": sum(text in frame for frame in list(frames))}
    if "flood" in order:
        head, tail = mac2str(order["dst"]), b"\x88\xb5" + bytes(46)
        for _ in range(order["flood"]):
            sock.send(head + b"\x02" + os.urandom(5) + tail)
        return {}
    for packet in eval(order["send"]):
        data = bytes(packet) + order.get("end", "").encode()
        for _ in range(order.get("repeat", 1)):
            sock.send(data)
    return {}


threading.Thread(target=listen, daemon=True).start()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    print(json.dumps(serve(json.loads(line))), flush=True)
