/**
 * Connections to a process's output and input. A file of its own, so that a start which needs only the control connection does
 * not load it.
 */
import { connect as connectSocket, type Socket } from "node:net";
import {
  ATTACH_CLOSE_STDIN_ON_END,
  ATTACH_HEADERS,
  ATTACH_HOLDS_OUTPUT,
  ATTACH_STDERR,
  ATTACH_STDIN,
  ATTACH_STDOUT,
  FRAME,
} from "../program/format.ts";
import { idleSocketFd, sendWithFd, shortSocketPath } from "../sys/unix-socket.ts";
import { encodeFrame } from "./frames.ts";

/** The streams that a connection wants; see the ATTACH frame. */
interface AttachMask {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  closeStdinOnEnd: boolean;
  headers?: boolean;
  /**
   * Returns a plain socket that gets the output in the connection's place, if that socket is idle. Called right before it is
   * passed.
   */
  output?: () => Socket;
}

/** Connects to a unix socket; the other side may accept later. */
export function connectUnix(longPath: string): Promise<Socket> {
  const { path, close } = shortSocketPath(longPath);
  return new Promise<Socket>((resolve, reject) => {
    const socket = connectSocket({ path, allowHalfOpen: true } as Parameters<typeof connectSocket>[0] & object);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(socket as Socket);
    });
    socket.once("error", reject);
  }).finally(close);
}

/**
 * Opens an ATTACH connection: output is read from it, stdin is written to it, `end()` half-closes it. If the process writes after
 * `mask.output` was called, nothing of that is missed.
 */
export async function connectAttached(path: string, mask: AttachMask): Promise<Socket> {
  const socket = await connectUnix(path);
  const bits =
    (mask.stdin ? ATTACH_STDIN : 0) |
    (mask.stdout ? ATTACH_STDOUT : 0) |
    (mask.stderr ? ATTACH_STDERR : 0) |
    (mask.closeStdinOnEnd ? ATTACH_CLOSE_STDIN_ON_END : 0) |
    (mask.headers ? ATTACH_HEADERS : 0) |
    (mask.output ? ATTACH_HOLDS_OUTPUT : 0);
  try {
    await written(socket, encodeFrame(FRAME.ATTACH, Uint8Array.of(bits)));
    if (mask.output) {
      const [connectionFd, outputFd] = [socket, mask.output()].map(idleSocketFd);
      if (connectionFd !== undefined && outputFd !== undefined) sendWithFd(connectionFd, OUTPUT_MAY_BEGIN, outputFd);
      else await written(socket, OUTPUT_MAY_BEGIN);
    }
    return socket;
  } catch (error) {
    socket.destroy(); // otherwise the process's output would be held for good
    throw error;
  }
}

const OUTPUT_MAY_BEGIN = new Uint8Array(1);

function written(socket: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => socket.write(bytes, (error) => (error ? reject(error) : resolve())));
}
