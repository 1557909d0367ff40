/** What a client sends, to the worker that reads it: from its connection; or passed on as it comes, never faster than it is read. */
import { closeSync } from "node:fs";
import { connect } from "node:net";
import { writeAll } from "../../base/writable.ts";
import { type BodyForm, type RawBody, receiveAll, receiveBody } from "../../files/mod.ts";
import { socketPair } from "../../linux/sys/passed-fds.ts";
import { beat } from "./heartbeat.ts";

/** The fds on which a worker finds it, and what of it was read before it was the worker's. */
const INPUT_FD = 4;
const FIRST_FD = 5;

export type Input = AsyncIterable<Uint8Array> | RawBody;

/** In the daemon. */
interface OpenInput {
  /** The worker's, in the order of the above. */
  fds: readonly number[];
  /** Rejects with what the source throws; that the other end reads no more is no failure: its process has said why. */
  failed: Promise<never>;
  /** The worker has the fds, or will never have them. */
  passed(): void;
  close(): void;
}

export function openInput(input: Input): OpenInput {
  const { promise: failed, reject } = Promise.withResolvers<never>();
  failed.catch(() => {}); // nobody may be waiting any more
  if ("fd" in input) return { fds: [input.fd, input.firstFd], failed, passed: () => {}, close: () => {} };
  const [ours, its] = socketPair("stream");
  const socket = connect({ fd: ours } as never);
  socket.on("error", () => {});
  void writeAll(input, socket).catch(reject);
  return { fds: [its], failed, passed: () => closeSync(its), close: () => socket.destroy() };
}

/** In the worker. `form`: of a body that comes from its connection. A chunk is valid until the next one is asked for. */
export function readInput(form: BodyForm | undefined): AsyncIterable<Uint8Array> {
  return form === undefined ? receiveAll(INPUT_FD, beat) : receiveBody({ fd: INPUT_FD, form, firstFd: FIRST_FD }, beat);
}
