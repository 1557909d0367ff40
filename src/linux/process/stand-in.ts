/** This process goes on as the launcher, which plays a program in it: the same pid, stdio and working directory. */
import { LighterError } from "../../base/errors.ts";
import { FRAME, PROGRAM_FD } from "../program/format.ts";
import { errnoText } from "../sys/errno.ts";
import { address, cString, lastErrno, libc } from "../sys/libc.ts";
import { createMemfd } from "../sys/memfd.ts";
import { connectUnixFd } from "../sys/unix-socket.ts";
import { encodeFrame } from "./frames.ts";

const F_SETFD = 2;
const FD_CLOEXEC = 1;
const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** More than any libc's sigset_t, of which the kernel's is the beginning. */
const SIGNAL_SET_BYTES = 128;

/** A control connection to the supervisor of this socket, which may accept it later: for a stand-in, nobody else reads it. */
export function connectControl(socketPath: string): number {
  const fd = connectUnixFd(socketPath);
  const frame = encodeFrame(FRAME.CONTROL);
  libc.write(fd, frame, frame.length); // whoever has gone already ends the connection
  return fd;
}

interface StandInProcess {
  /** A sealed memfd of the launcher. */
  executableFd: number;
  program: Uint8Array;
  /** Open fds that the program names, besides stdio. */
  fds: readonly number[];
  /** Those that it passes on are blocked from now on; bit n - 1 is signal n. */
  signalMask: number;
  argv: readonly string[];
  env: readonly string[];
}

/**
 * Prepares for it. The function it returns does it, or throws LighterError ("kernel"): then nothing has changed but stdin.
 * Signals that come meanwhile are mostly there for the program: those that another thread of ours gets until execve(2) has
 * ended it do what they do to a program that does not handle them.
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

/** As execve(2) has them; the strings are to live as long as the pointers are used. */
function stringVector(texts: readonly string[]): { pointers: BigUint64Array; strings: Uint8Array[] } {
  const strings = texts.map(cString);
  return { pointers: BigUint64Array.from([...strings.map(address), 0n]), strings };
}
