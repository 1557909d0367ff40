/**
 * The calling process's own terminal: raw mode and size. termios(3), ioctl_tty(2).
 *
 * Not node:tty: its raw mode keeps output processing on (ONLCR), which breaks full-screen programs whose own terminal
 * already decided that a line feed moves straight down. Bun saves the terminal's state at start and restores it at
 * exit, on SIGINT and SIGTERM and in its crash handler (1.4.5, tried in a pty), so a death in raw mode leaves no raw
 * terminal behind; only SIGKILL does.
 */
import { ptr } from "bun:ffi";
import { libcSymbols } from "./symbols.ts";

/** glibc's and musl's struct termios is 60 bytes on the architectures we know; room for more. */
const TERMIOS_ROOM_BYTES = 128;
const TCSANOW = 0;
/** Where c_lflag is in glibc's and musl's struct termios, and its bit for echo. */
const LFLAG_OFFSET_BYTES = 12;
const ECHO = 0o10;
const TIOCGWINSZ = 0x5413n;

const libc = libcSymbols({
  tcgetattr: { args: ["i32", "ptr"], returns: "i32" },
  tcsetattr: { args: ["i32", "i32", "ptr"], returns: "i32" },
  cfmakeraw: { args: ["ptr"], returns: "void" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
});

function readTermios(fd: number): Uint8Array | undefined {
  const termios = new Uint8Array(TERMIOS_ROOM_BYTES);
  return libc.tcgetattr(fd, ptr(termios)) === 0 ? termios : undefined;
}

export function isTerminal(fd: number): boolean {
  return readTermios(fd) !== undefined;
}

/** Rows and columns, or undefined if `fd` is not a terminal. */
export function readWindowSize(fd: number): { rows: number; columns: number } | undefined {
  const winsize = new Uint16Array(4);
  if (libc.ioctl(fd, TIOCGWINSZ, ptr(winsize)) !== 0) return undefined;
  return { rows: winsize[0] ?? 0, columns: winsize[1] ?? 0 };
}

/** Bytes in and out untouched, no echo, no signals from keys. Returns the way back. Nothing if not a terminal. */
export function setRawMode(fd: number): () => void {
  const saved = readTermios(fd);
  if (saved === undefined) return () => {};
  const raw = new Uint8Array(saved);
  libc.cfmakeraw(ptr(raw));
  libc.tcsetattr(fd, TCSANOW, ptr(raw));
  return () => {
    libc.tcsetattr(fd, TCSANOW, ptr(saved));
  };
}

/** Typed characters are not shown, all else stays. Returns the way back. Nothing if not a terminal. */
export function disableEcho(fd: number): () => void {
  const saved = readTermios(fd);
  if (saved === undefined) return () => {};
  const silent = new Uint8Array(saved);
  const view = new DataView(silent.buffer);
  view.setUint32(LFLAG_OFFSET_BYTES, view.getUint32(LFLAG_OFFSET_BYTES, true) & ~ECHO, true);
  libc.tcsetattr(fd, TCSANOW, ptr(silent));
  return () => {
    libc.tcsetattr(fd, TCSANOW, ptr(saved));
  };
}
