"""Echoes a byte on each TCP connection to PORT. Prints a line when it listens."""
import socket
import sys

server = socket.create_server(("0.0.0.0", int(sys.argv[1])), backlog=128)
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(connection.recv(1))
    connection.close()
