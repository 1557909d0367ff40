/** In a worker: a body of which parts are in files that its sender has opened, see spec/file-range.ts. */
import { closeSync } from "node:fs";
import { LighterError } from "../base/errors.ts";
import { FILE_INPUT_BYTES } from "../base/limits.ts";
import { rewind } from "../linux/sys/directory.ts";
import { receiveWithFds } from "../linux/sys/passed-fds.ts";
import { isPlainFile } from "../linux/sys/send-file.ts";
import { sendBytes, waitForBytes } from "../linux/sys/stream-bytes.ts";
import { ChunkDecoder } from "../spec/chunk-decoder.ts";
import { type FileRange, PLAIN_ONLY, TAKES_FILES } from "../spec/file-range.ts";
import { brokenOff } from "./body.ts";
import { type RawBody, receiveAll } from "./input.ts";

/**
 * The bytes of the body, and the ranges of files between them. A piece is valid, and a range's file open, until the next one is
 * asked for: that confirms the range. @throws LighterError "invalid" for a body that breaks off, or is malformed
 */
export async function* receiveWithFiles(
  { fd, firstFd }: RawBody,
  beat: () => void,
): AsyncGenerator<Uint8Array | FileRange> {
  const decoder = new ChunkDecoder({ takesFiles: true });
  const answer = (status: number) => sendBytes(fd, Buffer.from(`HTTP/1.1 ${status} Go on\r\n\r\n`), beat);
  rewind(firstFd);
  answer(TAKES_FILES);
  for await (const { bytes, passedFd } of messages(fd, firstFd, beat)) {
    const { payload, range, rest } = decoder.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    if (payload.length > 0) yield payload;
    if (rest !== undefined) return;
    if (range === undefined) continue;
    const file = passedFd();
    if (range.length > 0) yield { ...range, fd: requirePlain(file) };
    answer(file === undefined ? PLAIN_ONLY : TAKES_FILES);
  }
  throw brokenOff();
}

function requirePlain(fd: number | undefined): number {
  if (fd !== undefined && isPlainFile(fd)) return fd;
  throw new LighterError("invalid", "a part of the request's body is no regular file that could be read");
}

interface Message {
  bytes: Uint8Array;
  /** The descriptor that has come with these bytes or before, and was not asked for yet. */
  passedFd: () => number | undefined;
}

/** All bytes, with at most one descriptor at a time, which is closed when the message after that in which it was asked for is. */
async function* messages(fd: number, firstFd: number, beat: () => void): AsyncGenerator<Message> {
  let waiting: number | undefined;
  let taken: number | undefined;
  const passedFd = () => {
    [taken, waiting] = [waiting, undefined];
    return taken;
  };
  const forget = (one: number | undefined) => one !== undefined && closeSync(one);
  const buffer = new Uint8Array(FILE_INPUT_BYTES);
  try {
    for await (const bytes of receiveAll(firstFd, beat)) yield { bytes, passedFd };
    for (;;) {
      waitForBytes(fd, beat);
      const { bytes, fds } = receiveWithFds(fd, buffer);
      const [first, ...more] = waiting === undefined ? fds : [waiting, ...fds];
      waiting = first;
      for (const one of more) closeSync(one); // no sender of ours does that
      if (bytes.length === 0) return;
      yield { bytes, passedFd };
      forget(taken);
      taken = undefined;
    }
  } finally {
    forget(waiting);
    forget(taken);
  }
}
