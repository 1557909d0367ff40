import { closeSync } from "node:fs";
import { assert } from "../../base/assert.ts";
import { errnoOf } from "../../base/errors.ts";
import { NETLINK_BUFFER_BYTES, NETLINK_DATAGRAM_MAX_BYTES } from "../../base/limits.ts";
import { leaveOut, openNetlink, receiveNetlink } from "../sys/netlink.ts";
import type { Message } from "./messages.ts";
import { parseMessages } from "./messages.ts";

/**
 * Calls `onMessages` with what the kernel tells the multicast groups of a protocol, in the network namespace of the calling
 * thread. "overrun": some were lost, or cannot be understood; whoever follows something reads it anew.
 * `exceptPortId`: nothing that this socket does.
 * From when this returns nothing is missed. `groups` are numbers, not masks: RTNLGRP_LINK is 1.
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
      if (!ended) reader = Bun.file(fd).stream().getReader(); // an error is the end of a stream, not of its socket
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
      reader.cancel().catch(() => {}); // ends the read that waits
    },
  };
}

/** Until the queue of a socket that has overrun is empty, the kernel goes on leaving out what it has to say. */
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
