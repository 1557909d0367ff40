/**
 * Passes a client's bytes to the worker that reads them: the connection itself, or the bytes as they come, never faster than they
 * are read.
 */
import { closeSync } from "node:fs";
import { connect } from "node:net";
import { writeAll } from "../../base/writable.ts";
import { type BodyForm, type RawBody, receiveAll, receiveBody } from "../../files/mod.ts";
import { socketPair } from "../../linux/sys/passed-fds.ts";
import { beat } from "./heartbeat.ts";

/** The fds on which a worker finds the input, and the part that was read before. */
const INPUT_FD = 4;
const FIRST_FD = 5;

export type Input = AsyncIterable<Uint8Array> | RawBody;

/** In the daemon: an input that is being passed. */
interface OpenInput {
  /** The worker's fds, in the order of the above. */
  fds: readonly number[];
  /** Rejects with what the source throws. That the other end reads no more is no failure: its process has said why. */
  failed: Promise<never>;
  /** Called when the worker has the fds, or will never have them. */
  passed(): void;
  close(): void;
}

export function openInput(input: Input): OpenInput {
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {}); // nobody may be waiting for it any more
  if ("fd" in input) return { fds: [input.fd, input.firstFd], failed, passed: () => {}, close: () => {} };
  const [ours, its] = socketPair("stream");
  const socket = connect({ fd: ours } as never);
  socket.on("error", () => {});
  void writeAll(input, socket).catch(reject);
  return { fds: [its], failed, passed: () => closeSync(its), close: () => socket.destroy() };
}

/**
 * In the worker: reads the input. `form` is that of a body that comes on its connection. A chunk is valid until the next one is
 * asked for.
 */
export function readInput(form: BodyForm | undefined): AsyncIterable<Uint8Array> {
  return form === undefined ? receiveAll(INPUT_FD, beat) : receiveBody({ fd: INPUT_FD, form, firstFd: FIRST_FD }, beat);
}
