/** Hears what the kernel announces over netlink(7). */
import { closeSync } from "node:fs";
import { assert } from "../../base/assert.ts";
import { errnoOf } from "../../base/errors.ts";
import { NETLINK_BUFFER_BYTES, NETLINK_DATAGRAM_MAX_BYTES } from "../../base/limits.ts";
import { leaveOut, openNetlink, receiveNetlink } from "../sys/netlink.ts";
import type { Message } from "./messages.ts";
import { parseMessages } from "./messages.ts";

/**
 * Calls `onMessages` with what the kernel sends to the multicast groups of a protocol, in the calling thread's network namespace.
 * "overrun" means that messages were lost or cannot be understood: whoever follows something must read it anew. Messages about
 * what the socket `exceptPortId` does are left out. Nothing is missed once this has returned. `groups` are numbers, not masks:
 * RTNLGRP_LINK is 1.
 */
export function watchNetlink(
  protocol: number,
  groups: readonly number[],
  onMessages: (messages: readonly Message[] | "overrun") => void,
  options: { exceptPortId?: number } = {},
): Disposable {
  const fd = openNetlink(protocol, { bufferBytes: NETLINK_BUFFER_BYTES, groups });
  if (options.exceptPortId !== undefined) leaveOut(fd, options.exceptPortId);
  let reader = Bun.file(fd).stream().getReader();
  let ended = false;

  const next = async (): Promise<readonly Message[] | "overrun"> => {
    try {
      const { value } = await reader.read();
      assert(value !== undefined || ended, "a netlink socket has ended by itself");
      return parseMessages(value ?? new Uint8Array(0));
    } catch (error) {
      if (errnoOf(error) !== "ENOBUFS" && errnoOf(error) !== "EBADMSG") throw error;
      discardAll(fd);
      if (!ended) reader = Bun.file(fd).stream().getReader(); // an error ends the stream, not its socket
      return "overrun";
    }
  };
  const follow = async () => {
    while (!ended) {
      const messages = await next();
      if (!ended) onMessages(messages);
    }
    closeSync(fd);
  };
  void follow();
  return {
    [Symbol.dispose]() {
      ended = true;
      reader.cancel().catch(() => {}); // ends the pending read
    },
  };
}

/** Empties the queue of a socket that has overrun: until then the kernel goes on dropping messages. */
function discardAll(fd: number): void {
  const room = new Uint8Array(NETLINK_DATAGRAM_MAX_BYTES);
  for (;;) {
    try {
      if (receiveNetlink(fd, room) === undefined) return;
    } catch (error) {
      if (errnoOf(error) !== "ENOBUFS") throw error;
    }
  }
}
