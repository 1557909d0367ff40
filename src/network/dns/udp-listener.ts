/** The DNS resolver's UDP socket. */
import type { udp } from "bun";
import { messageOf } from "../../base/errors.ts";
import { DNS_FLOOD_COUNT, DNS_FLOOD_MS, DNS_FLOOD_REST_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { RESOLVER_ADDRESS, RESOLVER_PORT } from "./place.ts";

/**
 * How often an answer is sent. If an earlier answer's client had gone, the next send reports that and sends nothing (ip(7),
 * IP_RECVERR): unless it is repeated, another client waits in vain. More clients may go meanwhile.
 */
const SEND_ATTEMPTS = 3;

/** Handles a message. `reply` sends the answer to the client, if that is still possible. */
export type Receive = (message: Uint8Array, reply: (answer: Uint8Array | undefined) => void) => void;

/**
 * The resolver's UDP socket. Bun reads a socket until nothing is left, and nothing else happens in the process meanwhile: a
 * container that sends faster than we answer would have the daemon for itself. So its socket is closed for a while.
 */
export class UdpListener implements Disposable {
  readonly #open: <T>(act: () => T) => T;
  readonly #receive: Receive;
  #socket: udp.Socket<"buffer"> | undefined;
  #closed = false;
  #rest: Timer | undefined;
  /** What came since the process last did something else. */
  #turn: { startMs: number; count: number } | undefined;
  /** Resolves when the socket is bound, which it already is when the constructor returns, or rejects. */
  readonly opened: Promise<void>;

  /** `open` runs what opens a socket in the container's network namespace. */
  constructor(open: <T>(act: () => T) => T, receive: Receive) {
    this.#open = open;
    this.#receive = receive;
    this.opened = this.#bind();
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    clearTimeout(this.#rest);
    this.#socket?.close();
  }

  async #bind(): Promise<void> {
    const socket = await this.#open(() =>
      Bun.udpSocket({
        hostname: RESOLVER_ADDRESS,
        port: RESOLVER_PORT,
        socket: {
          data: (from, message, port, address) => this.#take(from, message, port, address),
          // The client had gone before its answer came.
          error: (...args: unknown[]) => log.debug("a DNS client by UDP", { error: messageOf(args.at(-1)) }),
        },
      }),
    );
    if (this.#closed) socket.close();
    else this.#socket = socket;
  }

  #take(from: udp.Socket<"buffer">, message: Uint8Array, port: number, address: string): void {
    if (from !== this.#socket) return; // this was read together with the last one before the rest
    if (this.#isFlooded()) this.#takeRest();
    else
      this.#receive(message, (answer) => {
        if (answer !== undefined) this.#send(answer, port, address);
      });
  }

  #isFlooded(): boolean {
    if (this.#turn === undefined) {
      this.#turn = { startMs: performance.now(), count: 0 };
      setImmediate(() => {
        this.#turn = undefined;
      });
    }
    this.#turn.count++;
    return this.#turn.count > DNS_FLOOD_COUNT && performance.now() - this.#turn.startMs > DNS_FLOOD_MS;
  }

  #takeRest(): void {
    log.debug("a container asks for names faster than it can be answered");
    this.#socket?.close();
    this.#socket = undefined;
    // Somebody else may have taken the port meanwhile: then it is tried later.
    const rebind = () => this.#bind().catch(() => this.#wait(rebind));
    this.#wait(rebind);
  }

  #wait(then: () => void): void {
    if (!this.#closed) this.#rest = setTimeout(then, DNS_FLOOD_REST_MS);
  }

  /** Sends an answer. A full socket loses datagrams, as networks do: the client asks again. */
  #send(answer: Uint8Array, port: number, address: string): void {
    for (let attempt = 0; attempt < SEND_ATTEMPTS && !this.#closed; attempt++) {
      try {
        this.#socket?.send(answer, port, address);
        return;
      } catch (error) {
        log.debug("a DNS client by UDP", { error: messageOf(error) });
      }
    }
  }
}
