/** Replaces this process by the launcher, which plays a program in it: with the same pid, stdio and working directory. */

import { LighterError } from "../../base/errors.ts";
import { FRAME, PROGRAM_FD } from "../program/format.ts";
import { SIG_BLOCK, SIG_SETMASK } from "../sys/abi.ts";
import { errnoText } from "../sys/errno.ts";
import { address, cString, lastErrno, libc } from "../sys/libc.ts";
import { createMemfd } from "../sys/memfd.ts";
import { connectUnixFd } from "../sys/unix-socket.ts";
import { encodeFrame } from "./frames.ts";

const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** Room for any libc's sigset_t; the kernel's is its beginning. */
const SIGNAL_SET_BYTES = 128;

/**
 * Connects to the supervisor of this socket for a stand-in, which alone reads the connection; the supervisor may accept later.
 */
export function connectControl(socketPath: string): number {
  const fd = connectUnixFd(socketPath);
  const frame = encodeFrame(FRAME.CONTROL);
  libc.write(fd, frame, frame.length); // a supervisor that has gone has closed the connection
  return fd;
}

interface StandInProcess {
  /** A sealed memfd of the launcher. */
  executableFd: number;
  program: Uint8Array;
  /** Open fds that the program names, apart from stdio. */
  fds: readonly number[];
  /** Signals that the stand-in passes on; they are blocked from now on. Bit n - 1 is signal n. */
  signalMask: number;
  argv: readonly string[];
  env: readonly string[];
}

/**
 * Prepares a stand-in. The returned function becomes it, or throws LighterError ("kernel") and has changed nothing but stdin.
 * Signals that come meanwhile mostly wait for the program; one that another thread of ours gets before execve(2) ends that thread
 * does what it does to a program without a handler.
 */
export function prepareStandIn({ executableFd, program, fds, signalMask, argv, env }: StandInProcess): () => never {
  const programFd = createMemfd("program", program);
  const blocked = new Uint8Array(SIGNAL_SET_BYTES);
  const before = new Uint8Array(SIGNAL_SET_BYTES);
  new DataView(blocked.buffer).setUint32(0, signalMask, true);
  const vectors = [argv, env].map(stringVector);
  return () => {
    for (const fd of fds) libc.fcntl(fd, F_SETFD, 0);
    libc.dup2(programFd, PROGRAM_FD);
    libc.pthread_sigmask(SIG_BLOCK, blocked, before);
    libc.fexecve(executableFd, vectors[0]!.pointers, vectors[1]!.pointers);
    const errno = lastErrno();
    libc.pthread_sigmask(SIG_SETMASK, before, null);
    for (const fd of fds) libc.fcntl(fd, F_SETFD, FD_CLOEXEC);
    throw new LighterError("kernel", `execute the launcher in our place: ${errno} (${errnoText(errno)})`, { errno });
  };
}

/** Encodes strings as execve(2) takes them; `strings` must live as long as `pointers` are used. */
function stringVector(texts: readonly string[]): { pointers: BigUint64Array; strings: Uint8Array[] } {
  const strings = texts.map(cString);
  return { pointers: BigUint64Array.from([...strings.map(address), 0n]), strings };
}
