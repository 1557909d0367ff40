/** What a client sends, on its way to the worker that reads it: passed on as it comes, never faster than it is read. */
import { connect } from "node:net";
import { writeAll } from "../../base/writable.ts";

/** The fd on which a worker finds it. */
const INPUT_FD = 4;

/**
 * Sends what `source` gives into the socket `fd`, which is taken over, and its end. `failed` rejects with the error of
 * `source`; that the other end reads no more is no failure: its process has said why.
 */
export function feed(source: AsyncIterable<Uint8Array>, fd: number): { failed: Promise<never>; close(): void } {
  const socket = connect({ fd } as never);
  socket.on("error", () => {});
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {}); // nobody may be waiting any more
  void writeAll(source, socket).catch(reject);
  return { failed: promise, close: () => socket.destroy() };
}

/** In the worker. Chunks are the taker's to keep. */
export function readInput(): AsyncIterable<Uint8Array> {
  return connect({ fd: INPUT_FD } as never);
}
