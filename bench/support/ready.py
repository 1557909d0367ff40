"""Listens on a datagram socket, and prints a line for every READY=1 that an init says on it."""
import os
import socket
import sys

listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o666)
print("listening", flush=True)
while True:
    if b"READY=1" in listener.recv(65536).split(b"\n"):
        print("ready", flush=True)
