// needs: ip
import { beforeAll, expect } from "bun:test";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { LighterError } from "../../src/base/errors.ts";
import { atOnce } from "../../src/base/slices.ts";
import { PortReservations } from "../../src/network/ports/mod.ts";
import type { TransportProtocol } from "../../src/network/types.ts";
import { enterNetworkNamespace, ip } from "../support/enter-network-namespace.ts";
import { testIf } from "../support/test-if.ts";

const isRoot = process.getuid?.() === 0;
const testAsRoot = testIf(isRoot, "needs root");

beforeAll(() => {
  if (!isRoot) return;
  enterNetworkNamespace();
  ip("address", "add", "192.0.2.1/24", "dev", "lo");
  ip("address", "add", "2001:db8::1/64", "dev", "lo", "nodad");
});

const want = (
  protocol: TransportProtocol,
  hostAddresses: readonly string[] | string,
  hostPort: number | { from: number; to: number },
) => ({ protocol, hostAddresses: [hostAddresses].flat(), hostPort });

const reserve = (ports: PortReservations, wanted: Parameters<PortReservations["reserve"]>[0]) =>
  atOnce(ports.reserve(wanted));

/** The message and errno of what it throws. */
function refusal(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof LighterError && error.code === "kernel") return `${error.detail.errno}: ${error.message}`;
    throw error;
  }
  return "";
}

/** A program of the host's. Rejects with the errno if the port is taken. */
async function listen(port: number, host: string): Promise<Server> {
  const server = createServer((socket) => socket.end()).listen({ port, host, ipv6Only: true });
  await Promise.race([once(server, "listening"), once(server, "error").then(([error]) => Promise.reject(error))]);
  return server;
}

async function close(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}

async function listenError(port: number, host: string): Promise<unknown> {
  try {
    await close(await listen(port, host));
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return undefined;
}

testAsRoot("a port that a container has is another's no more, in Docker's words", () => {
  using ports = new PortReservations();
  expect(reserve(ports, [want("tcp", "0.0.0.0", 8080), want("tcp", "::", 8080), want("udp", "0.0.0.0", 8080)])).toEqual(
    [8080, 8080, 8080],
  );
  const taken = "EADDRINUSE: Bind for 0.0.0.0:8080 failed: port is already allocated";
  expect(refusal(() => reserve(ports, [want("tcp", "0.0.0.0", 8080)]))).toBe(taken);
  expect(refusal(() => reserve(ports, [want("udp", "0.0.0.0", 8080)]))).toBe(taken);
  expect(refusal(() => reserve(ports, [want("tcp", "127.0.0.1", 8080)]))).toBe(taken.replace("0.0.0.0", "127.0.0.1"));
  expect(refusal(() => reserve(ports, [want("tcp", "::", 8080)]))).toBe(taken.replace("0.0.0.0", "::"));
});

testAsRoot("different addresses may have one port, but all addresses and one of them may not", () => {
  using ports = new PortReservations();
  reserve(ports, [want("tcp", ["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"], 8081)]);
  expect(refusal(() => reserve(ports, [want("tcp", "0.0.0.0", 8081)]))).toContain("port is already allocated");
  expect(refusal(() => reserve(ports, [want("tcp", "::", 8081)]))).toContain("Bind for :::8081 failed");
  ports.release([{ protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 8081 }]);
  expect(refusal(() => reserve(ports, [want("tcp", "0.0.0.0", 8081)]))).toContain("port is already allocated");
  ports.release([{ protocol: "tcp", hostAddress: "192.0.2.1", hostPort: 8081 }]);
  expect(reserve(ports, [want("tcp", "0.0.0.0", 8081)])).toEqual([8081]);
});

testAsRoot("a program of the host finds a reserved port taken, and nobody is let in there", async () => {
  using ports = new PortReservations();
  reserve(ports, [want("tcp", ["0.0.0.0", "::"], 8082), want("udp", "0.0.0.0", 8082)]);
  expect(await listenError(8082, "0.0.0.0")).toBe("EADDRINUSE");
  expect(await listenError(8082, "127.0.0.1")).toBe("EADDRINUSE");
  expect(await listenError(8082, "::1")).toBe("EADDRINUSE");
  const udp = createSocket({ type: "udp4", reuseAddr: true }).bind(8082, "127.0.0.1");
  expect((await once(udp, "error"))[0]).toMatchObject({ code: "EADDRINUSE" });
  const client = connect(8082, "127.0.0.1");
  expect((await once(client, "error"))[0]).toMatchObject({ code: "ECONNREFUSED" });
  ports.release([
    { protocol: "tcp", hostAddress: "0.0.0.0", hostPort: 8082 },
    { protocol: "tcp", hostAddress: "::", hostPort: 8082 },
  ]);
  expect(await listenError(8082, "0.0.0.0")).toBeUndefined();
});

testAsRoot(
  "a port that a program of the host has is refused, in Docker's words, and nothing else is kept",
  async () => {
    using ports = new PortReservations();
    const server = await listen(8083, "127.0.0.1");
    const server6 = await listen(8084, "::1");
    const both = [want("tcp", "0.0.0.0", 8085), want("tcp", "0.0.0.0", 8083)];
    expect(refusal(() => reserve(ports, both))).toBe(
      "EADDRINUSE: listen tcp4 0.0.0.0:8083: bind: address already in use",
    );
    expect(refusal(() => reserve(ports, [want("tcp", ["0.0.0.0", "::"], 8084)]))).toBe(
      "EADDRINUSE: listen tcp6 [::]:8084: bind: address already in use",
    );
    expect(
      reserve(ports, [want("tcp", "0.0.0.0", 8085), want("tcp", "192.0.2.1", 8083), want("tcp", "0.0.0.0", 8084)]),
    ).toEqual([8085, 8083, 8084]);
    await close(server);
    await close(server6);
  },
);

testAsRoot("an address that the host does not have is refused", () => {
  using ports = new PortReservations();
  expect(refusal(() => reserve(ports, [want("udp", "198.51.100.1", 53)]))).toBe(
    "EADDRNOTAVAIL: listen udp4 198.51.100.1:53: bind: cannot assign requested address",
  );
});

testAsRoot("of a range the first port that is free at all addresses is taken, until there is none", async () => {
  using ports = new PortReservations();
  const server = await listen(9001, "::1");
  const range = want("tcp", ["0.0.0.0", "::"], { from: 9000, to: 9002 });
  expect(reserve(ports, [range, range])).toEqual([9000, 9002]);
  expect(refusal(() => reserve(ports, [range]))).toBe("EADDRINUSE: all ports are allocated, from 9000 to 9002");
  await close(server);
  expect(reserve(ports, [range])).toEqual([9001]);
});

testAsRoot("any port is one of the host's ephemeral range, and not the one that was just given back", () => {
  writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "40000\t40003");
  using ports = new PortReservations();
  const any = want("tcp", ["0.0.0.0", "::"], 0);
  expect(reserve(ports, [any, any])).toEqual([40000, 40001]);
  ports.release(["0.0.0.0", "::"].map((hostAddress) => ({ protocol: "tcp", hostAddress, hostPort: 40000 })));
  expect(reserve(ports, [any, any, any])).toEqual([40002, 40003, 40000]);
  expect(refusal(() => reserve(ports, [any]))).toBe("EADDRINUSE: all ports are allocated, from 40000 to 40003");
});

testAsRoot("who asks for a certain port gets it, whatever those before take that take any", () => {
  writeFileSync("/proc/sys/net/ipv4/ip_local_port_range", "40000\t40003");
  using ports = new PortReservations();
  const all = (hostPort: number | { from: number; to: number }) => want("tcp", ["0.0.0.0", "::"], hostPort);
  expect(reserve(ports, [all(0), all({ from: 40000, to: 40001 }), all(0), all(40000)])).toEqual([
    40002, 40001, 40003, 40000,
  ]);
});

testAsRoot("more ports may be containers' than there are sockets for them", async () => {
  using ports = new PortReservations({ socketsMax: 4 });
  const server = await listen(64_000, "::1");
  const all = Array.from({ length: 5000 }, (_, index) => 60_000 + index);
  const wanted = (numbers: readonly number[]) => numbers.map((port) => want("tcp", ["0.0.0.0", "::"], port));
  const fds = () => readdirSync("/proc/self/fd").length;
  const before = fds();
  expect(refusal(() => reserve(ports, wanted(all)))).toBe(
    "EADDRINUSE: listen tcp6 [::]:64000: bind: address already in use",
  );
  expect(fds()).toBe(before);
  await close(server);
  expect(reserve(ports, wanted(all))).toEqual(all);
  expect(fds()).toBeLessThanOrEqual(before + 4);
  expect(await listenError(60_001, "127.0.0.1")).toBe("EADDRINUSE");
  expect(refusal(() => reserve(ports, [want("tcp", "127.0.0.1", 64_999)]))).toContain("port is already allocated");
  ports.release(
    all.flatMap((hostPort) =>
      ["0.0.0.0", "::"].map((hostAddress) => ({ protocol: "tcp", hostAddress, hostPort }) as const),
    ),
  );
  expect(reserve(ports, wanted([64_999]))).toEqual([64_999]);
  expect(await listenError(64_999, "127.0.0.1")).toBe("EADDRINUSE");
});

testAsRoot("connections that linger from a server that has ended do not keep a port from a container", async () => {
  const server = await listen(8086, "127.0.0.1");
  const client = connect(8086, "127.0.0.1").resume();
  await once(client, "close"); // the server has closed first, so its end lingers
  await close(server);
  using ports = new PortReservations();
  expect(reserve(ports, [want("tcp", "0.0.0.0", 8086)])).toEqual([8086]);
  expect(await listenError(8086, "127.0.0.1")).toBe("EADDRINUSE");
});

testAsRoot("SCTP's ports are kept apart, whether the kernel has sockets of it or not", () => {
  using ports = new PortReservations();
  reserve(ports, [want("tcp", "0.0.0.0", 8087), want("sctp", "0.0.0.0", 8087)]);
  expect(refusal(() => reserve(ports, [want("sctp", "127.0.0.1", 8087)]))).toContain("port is already allocated");
});

testAsRoot("a port that somebody took while there was no daemon stays the container's", async () => {
  using ports = new PortReservations();
  const server = await listen(8088, "127.0.0.1");
  const claimed = [8088, 8089].map((hostPort) => ({ protocol: "tcp", hostAddress: "0.0.0.0", hostPort }) as const);
  ports.claim(claimed);
  expect(await listenError(8089, "127.0.0.1")).toBe("EADDRINUSE");
  expect(refusal(() => reserve(ports, [want("tcp", "0.0.0.0", 8088)]))).toContain("port is already allocated");
  ports.release(claimed);
  await close(server);
  expect(reserve(ports, [want("tcp", "0.0.0.0", 8088)])).toEqual([8088]);
});
