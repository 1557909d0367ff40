/** Sends requests to the kernel over netlink(7) and reads its answers. */
import { closeSync } from "node:fs";
import { LighterError } from "../../base/errors.ts";
import {
  NETLINK_BUFFER_BYTES,
  NETLINK_DATAGRAM_MAX_BYTES,
  NETLINK_DUMP_ATTEMPTS,
  NETLINK_REPLIES_MAX_BYTES,
} from "../../base/limits.ts";
import { errnoName, errnoText } from "../sys/errno.ts";
import { openNetlink, portIdOf, receiveNetlink, sendNetlink } from "../sys/netlink.ts";
import { brokenMessage } from "./attributes.ts";
import type { Message } from "./messages.ts";
import { joinMessages, NLM_F, NLMSG, parseAcknowledgement, parseMessages } from "./messages.ts";

export const NETLINK = { ROUTE: 0, NETFILTER: 12 } as const;

/**
 * A socket for requests to the kernel over netlink(7), in the network namespace of the thread that made it. Every call is
 * synchronous: the kernel does what a message asks while it is sent, and then the answers can be read.
 */
export class NetlinkSocket implements Disposable {
  /** The kernel's name for the socket, which it gives when it tells others what the socket did. */
  readonly portId: number;
  readonly #fd: number;
  readonly #room = new Uint8Array(NETLINK_DATAGRAM_MAX_BYTES);
  #sequence = 1;

  /** Opens the socket; `protocol` is one of NETLINK. */
  constructor(protocol: number) {
    this.#fd = openNetlink(protocol, { bufferBytes: NETLINK_BUFFER_BYTES });
    this.portId = portIdOf(this.#fd);
  }

  /**
   * Sends the messages in one sendmsg(2) and returns the kernel's answers other than acknowledgements, in order. Errors come
   * whether a message has NLM_F_ACK or not; a message that has it must be acknowledged.
   * rtnetlink carries out the messages before and after one that fails; a batch of nf_tables is done as a whole or not at all.
   * `what` says, for the error, what is being done.
   * @throws LighterError ("kernel") with the errno of the first message that failed
   */
  request(messages: readonly Uint8Array[], what: string): Message[] {
    const first = this.#send(messages, what);
    const awaited = new Set<number>();
    for (const [index, message] of messages.entries()) if (message[6]! & NLM_F.ACK) awaited.add(first + index);
    const replies: Message[] = [];
    for (const message of this.#receiveAll(what)) {
      const index = message.sequence - first;
      if (index < 0 || index >= messages.length) continue; // it belongs to an earlier request that failed
      if (message.type !== NLMSG.ERROR) replies.push(message);
      else throwFailure(message, messages.length > 1 ? `${what} (message ${index + 1} of ${messages.length})` : what);
      awaited.delete(message.type === NLMSG.ERROR ? message.sequence : -1);
    }
    if (awaited.size > 0) throw brokenMessage(`was not acknowledged: ${what}`);
    return replies;
  }

  /**
   * Returns the list that a message with NLM_F_DUMP asks for, as it was at one moment.
   * @throws LighterError ("kernel"): EINTR if it changes faster than it can be read
   */
  dump(message: Uint8Array, what: string): Message[] {
    for (let attempt = 0; attempt < NETLINK_DUMP_ATTEMPTS; attempt++) {
      const sequence = this.#send([message], what);
      const replies = this.#receiveAll(what).filter((reply) => reply.sequence === sequence);
      for (const reply of replies)
        if (reply.type === NLMSG.ERROR || (reply.type === NLMSG.DONE && reply.payload.length >= 4))
          throwFailure(reply, what);
      if (replies.at(-1)?.type !== NLMSG.DONE) throw brokenMessage(`does not end its list: ${what}`);
      if (!replies.some((reply) => reply.flags & NLM_F.DUMP_INTR)) return replies.slice(0, -1);
    }
    throw new LighterError("kernel", `${what}: it changed each of ${NETLINK_DUMP_ATTEMPTS} times it was read`, {
      errno: "EINTR",
    });
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  /** Sends the messages and returns the first one's sequence number. */
  #send(messages: readonly Uint8Array[], what: string): number {
    if (this.#sequence + messages.length > 0x7fffffff) this.#sequence = 1;
    const first = this.#sequence;
    this.#sequence += messages.length;
    sendNetlink(this.#fd, joinMessages(messages, first), what);
    return first;
  }

  /** Receives everything there is. Whenever a datagram of a list is taken, the kernel adds the next one. */
  #receiveAll(what: string): Message[] {
    const messages: Message[] = [];
    let total = 0;
    for (;;) {
      const length = receiveNetlink(this.#fd, this.#room);
      if (length === undefined) return messages;
      total += length;
      if (total > NETLINK_REPLIES_MAX_BYTES)
        throw new LighterError("kernel", `${what}: more than ${NETLINK_REPLIES_MAX_BYTES} bytes of answers`, {
          errno: "EMSGSIZE",
        });
      messages.push(...parseMessages(this.#room.slice(0, length)));
    }
  }
}

/** Throws if the message reports a failure. */
function throwFailure(message: Message, what: string): void {
  const { errno, text, attributeOffset } = parseAcknowledgement(message);
  if (errno === 0) return;
  const name = errnoName(errno);
  const words = text === undefined ? "" : `: ${text}`;
  const place = attributeOffset === undefined ? "" : `, attribute at byte ${attributeOffset}`;
  throw new LighterError("kernel", `${what}: ${name} (${errnoText(name)})${words}${place}`, { errno: name });
}
