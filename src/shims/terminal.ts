/** The terminal's settings, which are given back whatever ends the process. */
import { host, tryCall } from "./door.ts";

const TCGETS = 0x5401;
const TCSETS = 0x5402;
/** The kernel's struct termios. */
const TERMIOS_BYTES = 36;

let kept: { fd: number; termios: Uint8Array } | undefined;

function read(fd: number): Uint8Array | undefined {
  const termios = new Uint8Array(TERMIOS_BYTES);
  return tryCall("ioctl", fd, TCGETS, termios) === 0 ? termios : undefined;
}

export function isatty(fd: number): boolean {
  return read(fd) !== undefined;
}

/** Returns 0 or a negative errno. `target` has room for the C library's struct, which is larger. */
export function getAttributes(fd: number, target: Uint8Array): number {
  return tryCall("ioctl", fd, TCGETS, target);
}

/** Changes the settings, and remembers what they were before the first change. */
export function setAttributes(fd: number, termios: Uint8Array): number {
  const before = kept === undefined ? read(fd) : undefined;
  if (before !== undefined) {
    kept = { fd, termios: before };
    host.keepTerminal(fd, before);
  }
  const rc = tryCall("ioctl", fd, TCSETS, termios);
  if (kept?.fd === fd && kept.termios.every((byte, i) => byte === termios[i])) {
    kept = undefined;
    host.keepTerminal(-1);
  }
  return rc;
}

export function giveBackTerminal(): void {
  if (kept !== undefined) tryCall("ioctl", kept.fd, TCSETS, kept.termios);
}

const [IFLAG, OFLAG, CFLAG, LFLAG, CC] = [0, 4, 8, 12, 17];
const [VTIME, VMIN] = [5, 6];
/** IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON */
const INPUT_FLAGS = 0o1 | 0o2 | 0o10 | 0o40 | 0o100 | 0o200 | 0o400 | 0o2000;
const OPOST = 1;
const CSIZE_PARENB = 0o60 | 0o400;
const CS8 = 0o60;
/** ECHO | ECHONL | ICANON | ISIG | IEXTEN */
const LOCAL_FLAGS = 0o10 | 0o100 | 0o2 | 0o1 | 0o100000;

/** Source: cfmakeraw(3). */
export function makeRaw(termios: Uint8Array): void {
  const view = new DataView(termios.buffer, termios.byteOffset);
  const clear = (at: number, bits: number, set = 0) =>
    view.setUint32(at, ((view.getUint32(at, true) & ~bits) | set) >>> 0, true);
  clear(IFLAG, INPUT_FLAGS);
  clear(OFLAG, OPOST);
  clear(CFLAG, CSIZE_PARENB, CS8);
  clear(LFLAG, LOCAL_FLAGS);
  termios[CC + VMIN] = 1;
  termios[CC + VTIME] = 0;
}
