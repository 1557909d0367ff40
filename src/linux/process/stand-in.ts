/** Replaces this process by the launcher, which plays a program in it: with the same pid, stdio and working directory. */

import { FRAME, PROGRAM_FD } from "../program/format.ts";
import { AT_EMPTY_PATH, SIG_BLOCK, SIG_SETMASK, SIGSET_BYTES } from "../sys/abi.ts";
import { addressOf, cString, kernelError, tryCall } from "../sys/door.ts";
import { createMemfd } from "../sys/memfd.ts";
import { setSigpipe } from "../sys/sigpipe.ts";
import { connectUnixFd } from "../sys/unix-socket.ts";
import { encodeFrame } from "./frames.ts";

const F_SETFD = 2;
const FD_CLOEXEC = 1;

/**
 * Connects to the supervisor of this socket for a stand-in, which alone reads the connection; the supervisor may accept later.
 */
export function connectControl(socketPath: string): number {
  const fd = connectUnixFd(socketPath);
  const frame = encodeFrame(FRAME.CONTROL);
  tryCall("write", fd, frame, frame.length); // a supervisor that has gone has closed the connection
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
  const blocked = new BigUint64Array([BigInt(signalMask)]);
  const before = new BigUint64Array(1);
  const vectors = [argv, env].map(stringVector);
  return () => {
    for (const fd of fds) tryCall("fcntl", fd, F_SETFD, 0);
    tryCall("dup3", programFd, PROGRAM_FD, 0);
    tryCall("rt_sigprocmask", SIG_BLOCK, blocked, before, SIGSET_BYTES);
    setSigpipe("default");
    const rc = tryCall("execveat", executableFd, "", vectors[0]!.pointers, vectors[1]!.pointers, AT_EMPTY_PATH);
    setSigpipe("ignored");
    tryCall("rt_sigprocmask", SIG_SETMASK, before, null, SIGSET_BYTES);
    for (const fd of fds) tryCall("fcntl", fd, F_SETFD, FD_CLOEXEC);
    throw kernelError(rc, "execute the launcher in our place");
  };
}

/** Encodes strings as execve(2) takes them; `strings` must live as long as `pointers` are used. */
function stringVector(texts: readonly string[]): { pointers: BigUint64Array; strings: Uint8Array[] } {
  const strings = texts.map(cString);
  return { pointers: BigUint64Array.from([...strings.map(addressOf), 0n]), strings };
}
