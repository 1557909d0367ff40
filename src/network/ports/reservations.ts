/** Reserves ports of the host for containers. */
import { closeSync, readFileSync } from "node:fs";
import { errnoOf, LighterError, messageOf } from "../../base/errors.ts";
import { parseIpAddress } from "../../base/ip-address.ts";
import { PORT_SOCKETS_MAX, PORT_SOCKETS_SHARE } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import type { Steps } from "../../base/slices.ts";
import { reservePort } from "../../linux/sys/inet-socket.ts";
import type { TransportProtocol } from "../types.ts";

/** A port on one address of the host; "0.0.0.0" and "::" stand for all addresses of their family. */
export interface HostPort {
  protocol: TransportProtocol;
  hostAddress: string;
  hostPort: number;
}

export interface WantedPort {
  protocol: TransportProtocol;
  /** Addresses that all get the same port. At least one. */
  hostAddresses: readonly string[];
  /** 0 asks for any free port; a range, both ends included, for its first free one. */
  hostPort: number | { from: number; to: number };
}

/**
 * A reserved port. `fd` is undefined if the kernel does not have the protocol, somebody else has the port, or there are enough
 * sockets: then only our books say that it is taken.
 */
interface Reservation {
  port: HostPort;
  fd: number | undefined;
}

const LOCAL_PORT_RANGE = "/proc/sys/net/ipv4/ip_local_port_range";
/** Docker's range, for when there is no such file. */
const DEFAULT_EPHEMERAL = { from: 49153, to: 65535 };

/** Go's words for an errno, which clients look for in Docker's messages. */
const WORDS: Readonly<Record<string, string>> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "cannot assign requested address",
  EACCES: "permission denied",
};

/**
 * Ports of the host that containers have, in the network namespace of the thread that asks. Each of the first thousands is held
 * by a socket, so that programs of the host, and other daemons, find it taken.
 */
export class PortReservations implements Disposable {
  /** Reservations by protocol and port. Several addresses may have one port. */
  readonly #reservations = new Map<string, Reservation[]>();
  /** Where the next search for a free port begins, so that it does not find the one that was just given back. */
  #lastEphemeral = 0;
  readonly #socketsMax: number;
  #sockets = 0;

  constructor({ socketsMax = socketsOf(readFdLimit()) }: { socketsMax?: number } = {}) {
    this.#socketsMax = socketsMax;
  }

  /**
   * Reserves all of the ports or none; returns them in the order of `wanted`. A request for a certain port is served before one
   * for any.
   * @throws LighterError ("kernel", EADDRINUSE …) in Docker's words: "… port is already allocated" if a container has it,
   *   "… address already in use" if a program has it
   */
  *reserve(wanted: readonly WantedPort[]): Steps<number[]> {
    const reserved: HostPort[] = [];
    const chosen: number[] = [];
    try {
      for (const [index, each] of [...wanted.entries()].sort(([, a], [, b]) => choicesOf(a) - choicesOf(b))) {
        const hostPort = this.#reserveOne(each);
        for (const hostAddress of each.hostAddresses) reserved.push({ protocol: each.protocol, hostAddress, hostPort });
        chosen[index] = hostPort;
        yield;
      }
      return chosen;
    } catch (error) {
      this.release(reserved);
      throw error;
    }
  }

  /** Releases ports, ignoring those that are not reserved. */
  release(ports: readonly HostPort[]): void {
    for (const port of ports) {
      const all = this.#reservations.get(key(port)) ?? [];
      const index = all.findIndex((each) => each.port.hostAddress === port.hostAddress);
      const [found] = index < 0 ? [] : all.splice(index, 1);
      if (found?.fd !== undefined) {
        closeSync(found.fd);
        this.#sockets--;
      }
      if (all.length === 0) this.#reservations.delete(key(port));
    }
  }

  /**
   * Reserves ports of containers that ran on while there was no daemon. One that a program has taken meanwhile is logged: packets
   * go to the container all the same.
   */
  claim(ports: readonly HostPort[]): void {
    for (const port of ports) {
      if (this.#conflict(port) !== undefined) continue;
      try {
        this.#bind(port);
      } catch (error) {
        log.warn("a published port is also in use by a program of the host", {
          address: port.hostAddress,
          port: port.hostPort,
          protocol: port.protocol,
          error: messageOf(error),
        });
        this.#add(port, undefined);
      }
    }
  }

  [Symbol.dispose](): void {
    for (const { fd } of [...this.#reservations.values()].flat()) if (fd !== undefined) closeSync(fd);
    this.#reservations.clear();
    this.#sockets = 0;
  }

  #reserveOne(wanted: WantedPort): number {
    const { hostPort } = wanted;
    if (typeof hostPort === "number" && hostPort !== 0) {
      this.#reserveAt(wanted, hostPort);
      return hostPort;
    }
    const isAny = hostPort === 0;
    const range = typeof hostPort === "number" ? readEphemeralRange() : hostPort;
    const start = isAny && this.#lastEphemeral >= range.from ? this.#lastEphemeral + 1 : range.from;
    let failure: unknown;
    for (const candidate of candidates(range, start)) {
      try {
        this.#reserveAt(wanted, candidate);
        if (isAny) this.#lastEphemeral = candidate;
        return candidate;
      } catch (error) {
        if (errnoOf(error) !== "EADDRINUSE") throw error;
        failure ??= error;
      }
    }
    if (!isAny && range.from === range.to) throw failure;
    throw new LighterError("kernel", `all ports are allocated, from ${range.from} to ${range.to}`, {
      errno: "EADDRINUSE",
      cause: failure,
    });
  }

  /** Reserves a port at all of the addresses or none. */
  #reserveAt({ protocol, hostAddresses }: WantedPort, hostPort: number): void {
    const done: HostPort[] = [];
    try {
      for (const hostAddress of hostAddresses) {
        const port = { protocol, hostAddress, hostPort };
        if (this.#conflict(port) !== undefined)
          throw new LighterError("kernel", `Bind for ${hostAddress}:${hostPort} failed: port is already allocated`, {
            errno: "EADDRINUSE",
          });
        this.#bind(port);
        done.push(port);
      }
    } catch (error) {
      this.release(done);
      throw error;
    }
  }

  /** The reservation of the same port on the same address, or of a whole family that includes it or is included. */
  #conflict(port: HostPort): Reservation | undefined {
    const isIpv6 = port.hostAddress.includes(":");
    return this.#reservations
      .get(key(port))
      ?.find(
        ({ port: { hostAddress } }) =>
          hostAddress === port.hostAddress ||
          (hostAddress.includes(":") === isIpv6 && (isUnspecified(hostAddress) || isUnspecified(port.hostAddress))),
      );
  }

  #bind(port: HostPort): void {
    const { protocol, hostAddress, hostPort } = port;
    try {
      this.#add(port, reservePort(protocol, parseIpAddress(hostAddress), hostPort));
    } catch (error) {
      const errno = errnoOf(error);
      // The firewall knows SCTP even if the kernel has no sockets of it. Then no program can have the port either.
      if (protocol === "sctp" && (errno === "EPROTONOSUPPORT" || errno === "ESOCKTNOSUPPORT")) {
        this.#add(port, undefined);
        return;
      }
      const words = WORDS[errno];
      if (words === undefined) throw error;
      const isIpv6 = hostAddress.includes(":");
      const where = `${isIpv6 ? `[${hostAddress}]` : hostAddress}:${hostPort}`;
      throw new LighterError("kernel", `listen ${protocol}${isIpv6 ? 6 : 4} ${where}: bind: ${words}`, {
        errno,
        cause: error,
      });
    }
  }

  #add(port: HostPort, fd: number | undefined): void {
    const { protocol, hostAddress, hostPort } = port;
    const isHeld = fd !== undefined && this.#sockets < this.#socketsMax;
    if (isHeld) this.#sockets++;
    else if (fd !== undefined) closeSync(fd);
    const reservation = { port: { protocol, hostAddress, hostPort }, fd: isHeld ? fd : undefined };
    const all = this.#reservations.get(key(port));
    if (all === undefined) this.#reservations.set(key(port), [reservation]);
    else all.push(reservation);
  }
}

/** How many ports would do. Requests with few come first: a certain port, one of a range, any. */
function choicesOf({ hostPort }: WantedPort): number {
  if (typeof hostPort === "object") return hostPort.to - hostPort.from + 1;
  return hostPort === 0 ? Number.MAX_VALUE : 1;
}

/** How many sockets a process with this limit of fds spends on ports. */
function socketsOf(fdLimit: number): number {
  return Math.min(PORT_SOCKETS_MAX, Math.floor(fdLimit * PORT_SOCKETS_SHARE));
}

/** The current limit of this process. "unlimited" is no number. */
function readFdLimit(): number {
  const soft = /^Max open files +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  return Number(soft) || Number.POSITIVE_INFINITY;
}

function key({ protocol, hostPort }: HostPort): string {
  return `${protocol} ${hostPort}`;
}

function isUnspecified(address: string): boolean {
  return address === "0.0.0.0" || address === "::";
}

/** All ports of the range, beginning at `start` and wrapping around. */
function* candidates({ from, to }: { from: number; to: number }, start: number): Generator<number> {
  for (let port = start; port <= to; port++) yield port;
  for (let port = from; port < Math.min(start, to + 1); port++) yield port;
}

function readEphemeralRange(): { from: number; to: number } {
  try {
    const [from = 0, to = 0] = readFileSync(LOCAL_PORT_RANGE, "utf8").trim().split(/\s+/).map(Number);
    return from > 0 && from <= to && to <= 65535 ? { from, to } : DEFAULT_EPHEMERAL;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return DEFAULT_EPHEMERAL;
    throw error;
  }
}
