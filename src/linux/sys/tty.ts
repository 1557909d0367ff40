/**
 * The calling process's own terminal: raw mode and size. termios(3), ioctl_tty(2).
 *
 * Not node:tty: its raw mode keeps output processing on (ONLCR), which breaks full-screen programs whose own terminal has decided
 * already that a line feed moves straight down. Both engines give a terminal back at their exit, at a signal and at a crash, so only
 * SIGKILL leaves it raw: the small one is told what to give back; Bun saves the state at its start (1.4.5, tried in a pty).
 */
import { keepTerminal, tryCall } from "./door.ts";

const TCGETS = 0x5401;
const TCSETS = 0x5402;
const TIOCGWINSZ = 0x5413;
/** The kernel's struct termios, and where its flags and special characters are. */
const TERMIOS_BYTES = 36;
const [IFLAG, OFLAG, CFLAG, LFLAG, CC] = [0, 4, 8, 12, 17];
const [VTIME, VMIN] = [5, 6];
/** IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON */
const INPUT_FLAGS = 0o1 | 0o2 | 0o10 | 0o40 | 0o100 | 0o200 | 0o400 | 0o2000;
const OPOST = 1;
const CSIZE_PARENB = 0o60 | 0o400;
const CS8 = 0o60;
const ECHO = 0o10;
/** ECHO | ECHONL | ICANON | ISIG | IEXTEN */
const LOCAL_FLAGS = ECHO | 0o100 | 0o2 | 0o1 | 0o100000;

type Settings = Uint8Array;

/** What the terminal had before we changed it. */
let kept: { fd: number; settings: Settings } | undefined;

function readSettings(fd: number): Settings | undefined {
  const settings = new Uint8Array(TERMIOS_BYTES);
  return tryCall("ioctl", fd, TCGETS, settings) === 0 ? settings : undefined;
}

export function isTerminal(fd: number): boolean {
  return readSettings(fd) !== undefined;
}

/** The terminal's rows and columns, or undefined if `fd` is not a terminal. */
export function readWindowSize(fd: number): { rows: number; columns: number } | undefined {
  const winsize = new Uint16Array(4);
  if (tryCall("ioctl", fd, TIOCGWINSZ, winsize) < 0) return undefined;
  return { rows: winsize[0] ?? 0, columns: winsize[1] ?? 0 };
}

/**
 * Passes bytes in and out unchanged, without echo and without signals from keys. Returns a function that restores the terminal.
 * Does nothing if `fd` is not a terminal. Source: cfmakeraw(3).
 */
export function setRawMode(fd: number): () => void {
  return change(fd, (settings) => {
    setFlags(settings, IFLAG, INPUT_FLAGS);
    setFlags(settings, OFLAG, OPOST);
    setFlags(settings, CFLAG, CSIZE_PARENB, CS8);
    setFlags(settings, LFLAG, LOCAL_FLAGS);
    settings[CC + VMIN] = 1;
    settings[CC + VTIME] = 0;
  });
}

/**
 * Stops showing typed characters and changes nothing else. Returns a function that restores the terminal. Does nothing if `fd` is
 * not a terminal.
 */
export function disableEcho(fd: number): () => void {
  return change(fd, (settings) => setFlags(settings, LFLAG, ECHO));
}

function setFlags(settings: Settings, at: number, cleared: number, set = 0): void {
  const view = new DataView(settings.buffer);
  view.setUint32(at, ((view.getUint32(at, true) & ~cleared) | set) >>> 0, true);
}

function change(fd: number, edit: (settings: Settings) => void): () => void {
  const saved = readSettings(fd);
  if (saved === undefined) return () => {};
  const settings = new Uint8Array(saved);
  edit(settings);
  if (kept === undefined) {
    kept = { fd, settings: saved };
    keepTerminal(fd, saved);
  }
  tryCall("ioctl", fd, TCSETS, settings);
  return () => {
    tryCall("ioctl", fd, TCSETS, saved);
    if (kept?.settings !== saved) return;
    kept = undefined;
    keepTerminal(-1);
  };
}

/** What the small engine does before it exits. */
export function giveBackTerminal(): void {
  if (kept !== undefined) tryCall("ioctl", kept.fd, TCSETS, kept.settings);
}
