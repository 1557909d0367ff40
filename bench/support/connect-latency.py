"""Measures TCP connections: ADDRESS PORT COUNT. On each it sends a byte and receives one; it prints the milliseconds of each."""
import socket
import sys
import time

address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for _ in range(count):
    started = time.perf_counter()
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(b"x")
        if connection.recv(1) != b"x":
            sys.exit("no echo")
        print((time.perf_counter() - started) * 1000)
