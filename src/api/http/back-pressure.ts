/** Lets a request's body come no faster than it is read: node:http of Bun takes all that comes on a connection it was given. */
import type { IncomingMessage } from "node:http";

/** What is held of a body that nobody reads, beside what the kernel holds. */
const BODY_HELD_BYTES = 256 * 1024;

/** Call before anybody reads the body. */
export function holdBack(request: IncomingMessage): void {
  const { socket } = request;
  let isHeld = false;
  const onData = (): void => {
    if (isHeld || request.readableLength < BODY_HELD_BYTES) return;
    isHeld = true;
    socket.pause();
  };
  const release = (): void => {
    if (!isHeld) return;
    isHeld = false;
    socket.resume();
  };
  const read = request._read.bind(request);
  request._read = (size) => {
    read(size);
    release();
  };
  socket.on("data", onData);
  request.once("close", () => {
    socket.off("data", onData);
    release();
  });
}
