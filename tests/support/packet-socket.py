"""Sends frames from its network namespace, and counts those that arrive.

  packet-socket.py INTERFACE from|to MAC [FRAME ...]      frames in hexadecimal digits

Prints "ready" when it has sent them; when its standard input ends, prints the number of frames from, or to, MAC since the start.
"""
import socket, sys

ETH_P_ALL = 3
PACKET_OUTGOING = 4

interface, end, mac, *frames = sys.argv[1:]
wanted = bytes.fromhex(mac.replace(":", ""))
packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
packets.bind((interface, 0))
for frame in frames:
    packets.send(bytes.fromhex(frame))
print("ready", flush=True)
sys.stdin.read()
packets.setblocking(False)
count = 0
while True:
    try:
        frame, (_, _, kind, *_) = packets.recvfrom(2048)
    except BlockingIOError:
        break
    if kind != PACKET_OUTGOING and wanted == (frame[0:6] if end == "to" else frame[6:12]):
        count += 1
print(count)
