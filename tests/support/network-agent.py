"""Opens and accepts connections in a network namespace. Standard input has a JSON object a line; each is answered by one.

  {"do": "serve", "protocol": "tcp" | "udp", "port": N, "name": "a1"}      says on each connection "a1 PEER-ADDRESS"
  {"do": "ask", "protocol": …, "address": …, "port": N, "source": [address, port]}   what was said, or "timeout", "refused" …
  {"do": "hold", "address": …, "port": N}     a TCP connection that stays; its number
  {"do": "again", "number": N}                what is said on it when it is written to
  {"do": "many", "address": …, "port": N, "count": N}      so many connections, one after the other: microseconds each
  {"do": "sctp-serve"}                        takes SCTP packets
  {"do": "sctp", "address": …, "port": N}     sends an INIT
  {"do": "sctp-port"}                         the destination port of one that came, or "timeout"
"""
import errno, json, socket, struct, sys, threading, time

TIMEOUT = 0.7
held = []
sctp_socket = None


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def shown(address):
    return address.removeprefix("::ffff:")


def talk(connection, greeting):
    try:
        connection.sendall(greeting)
        while connection.recv(100):
            connection.sendall(greeting)
    except OSError:
        pass


def serve_tcp(listener, name):
    while True:
        connection, peer = listener.accept()
        greeting = f"{name} {shown(peer[0])}".encode()
        threading.Thread(target=talk, args=(connection, greeting), daemon=True).start()


def serve_udp(endpoint, name):
    while True:
        _, peer = endpoint.recvfrom(100)
        endpoint.sendto(f"{name} {shown(peer[0])}".encode(), peer)


def serve(protocol, port, name):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    endpoint = socket.socket(socket.AF_INET6, kind)
    endpoint.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    endpoint.bind(("::", port))
    if protocol == "tcp":
        endpoint.listen(100)
    target = serve_tcp if protocol == "tcp" else serve_udp
    threading.Thread(target=target, args=(endpoint, name), daemon=True).start()
    return "serving"


def opened(protocol, address, port, source=None):
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    endpoint = socket.socket(family(address), kind)
    endpoint.settimeout(TIMEOUT)
    if source:
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        endpoint.bind(tuple(source))
    endpoint.connect((address, port))
    if protocol == "udp":
        endpoint.send(b"?")
    return endpoint


def ask(protocol, address, port, source=None):
    with opened(protocol, address, port, source) as endpoint:
        return endpoint.recv(100).decode()


def hold(address, port):
    connection = opened("tcp", address, port)
    connection.recv(100)
    held.append(connection)
    return len(held) - 1


def again(number):
    held[number].sendall(b"?")
    return held[number].recv(100).decode()


def many(address, port, count):
    start = time.monotonic()
    for _ in range(count):
        connection = opened("tcp", address, port)
        connection.recv(100)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # leaves nothing behind
        connection.close()
    return (time.monotonic() - start) / count * 1e6


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sctp_serve():
    global sctp_socket
    sctp_socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, 132)
    sctp_socket.settimeout(TIMEOUT)
    return "serving"


def sctp(address, port):
    init = struct.pack("!BBHIIHHI", 1, 0, 20, 1, 65536, 1, 1, 1)
    header = struct.pack("!HHI", 40000, port, 0)
    checksum = struct.pack("<I", crc32c(header + bytes(4) + init))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 132) as raw:
        raw.sendto(header + checksum + init, (address, 0))
    return "sent"


def sctp_port():
    packet = sctp_socket.recv(1000)
    return struct.unpack_from("!H", packet, (packet[0] & 15) * 4 + 2)[0]


COMMANDS = {
    "serve": serve, "ask": ask, "hold": hold, "again": again, "many": many,
    "sctp-serve": sctp_serve, "sctp": sctp, "sctp-port": sctp_port,
}

for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = COMMANDS[request.pop("do")](**request)
    except TimeoutError:
        answer = "timeout"
    except ConnectionRefusedError:
        answer = "refused"
    except ConnectionResetError:
        answer = "reset"
    except OSError as error:
        answer = errno.errorcode.get(error.errno, str(error))
    print(json.dumps(answer), flush=True)
