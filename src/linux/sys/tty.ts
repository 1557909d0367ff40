/**
 * The calling process's own terminal: raw mode and size. termios(3), ioctl_tty(2).
 *
 * Not node:tty: its raw mode keeps output processing on (ONLCR), which breaks full-screen programs whose own terminal has decided
 * already that a line feed moves straight down. Bun saves the terminal's state at start and restores it at exit, on SIGINT and
 * SIGTERM and in its crash handler (1.4.5, tried in a pty), so only SIGKILL leaves the terminal raw.
 */
import { libcSymbols } from "./symbols.ts";

/** Room for struct termios, which is 60 bytes with glibc and musl on the architectures we know. */
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
  return libc.tcgetattr(fd, termios) === 0 ? termios : undefined;
}

export function isTerminal(fd: number): boolean {
  return readTermios(fd) !== undefined;
}

/** The terminal's rows and columns, or undefined if `fd` is not a terminal. */
export function readWindowSize(fd: number): { rows: number; columns: number } | undefined {
  const winsize = new Uint16Array(4);
  if (libc.ioctl(fd, TIOCGWINSZ, winsize) !== 0) return undefined;
  return { rows: winsize[0] ?? 0, columns: winsize[1] ?? 0 };
}

/**
 * Passes bytes in and out unchanged, without echo and without signals from keys. Returns a function that restores the terminal.
 * Does nothing if `fd` is not a terminal.
 */
export function setRawMode(fd: number): () => void {
  const saved = readTermios(fd);
  if (saved === undefined) return () => {};
  const raw = new Uint8Array(saved);
  libc.cfmakeraw(raw);
  libc.tcsetattr(fd, TCSANOW, raw);
  return () => {
    libc.tcsetattr(fd, TCSANOW, saved);
  };
}

/**
 * Stops showing typed characters and changes nothing else. Returns a function that restores the terminal. Does nothing if `fd` is
 * not a terminal.
 */
export function disableEcho(fd: number): () => void {
  const saved = readTermios(fd);
  if (saved === undefined) return () => {};
  const silent = new Uint8Array(saved);
  const view = new DataView(silent.buffer);
  view.setUint32(LFLAG_OFFSET_BYTES, view.getUint32(LFLAG_OFFSET_BYTES, true) & ~ECHO, true);
  libc.tcsetattr(fd, TCSANOW, silent);
  return () => {
    libc.tcsetattr(fd, TCSANOW, saved);
  };
}
