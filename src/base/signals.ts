/** Signals: their numbers, and the forms of their names. */
const NUMBERS = {
  HUP: 1,
  INT: 2,
  QUIT: 3,
  ILL: 4,
  TRAP: 5,
  ABRT: 6,
  IOT: 6,
  BUS: 7,
  FPE: 8,
  KILL: 9,
  USR1: 10,
  SEGV: 11,
  USR2: 12,
  PIPE: 13,
  ALRM: 14,
  TERM: 15,
  STKFLT: 16,
  CHLD: 17,
  CLD: 17,
  CONT: 18,
  STOP: 19,
  TSTP: 20,
  TTIN: 21,
  TTOU: 22,
  URG: 23,
  XCPU: 24,
  XFSZ: 25,
  VTALRM: 26,
  PROF: 27,
  WINCH: 28,
  IO: 29,
  POLL: 29,
  PWR: 30,
  SYS: 31,
} as const;

/** Signal numbers of x86_64 and arm64, which agree. Source: signal(7). */
export const SIGNALS: Readonly<Record<string, number>> = NUMBERS;

export type SignalName = `SIG${keyof typeof NUMBERS}`;

/** SIGKILL, which cannot be caught and has this number on every architecture. */
export const SIGKILL = 9;

/** The first real-time signal in glibc's and Docker's numbering: 32 and 33 belong to the C library. */
const RTMIN = 34;
const RTMAX = 64;

/**
 * The number of a signal given as "15", "TERM", "SIGTERM", "RTMIN+3" or "RTMAX-1", in any case; undefined for anything
 * else, 0 included.
 */
export function parseSignal(text: string): number | undefined {
  if (/^[0-9]{1,2}$/.test(text)) {
    const number = Number(text);
    return number >= 1 && number <= RTMAX ? number : undefined;
  }
  const name = text.toUpperCase().replace(/^SIG/, "");
  const realTime = /^RT(?:MIN(?:\+([0-9]{1,2}))?|MAX(?:-([0-9]{1,2}))?)$/.exec(name);
  if (realTime !== null) {
    const number = name.startsWith("RTMIN") ? RTMIN + Number(realTime[1] ?? 0) : RTMAX - Number(realTime[2] ?? 0);
    return number >= RTMIN && number <= RTMAX ? number : undefined;
  }
  return Object.hasOwn(SIGNALS, name) ? SIGNALS[name] : undefined;
}

/**
 * Signals that are passed on. Not KILL and STOP, which cannot be caught; not CHLD, PIPE and URG, which are about this process;
 * not the faults (SEGV, BUS, …), which are our own crashes; not PWR, with which Bun's collector stops its threads.
 */
export const FORWARDED_SIGNALS: readonly NodeJS.Signals[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGABRT",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGTERM",
  "SIGCONT",
  "SIGTSTP",
  "SIGTTIN",
  "SIGTTOU",
  "SIGXCPU",
  "SIGXFSZ",
  "SIGVTALRM",
  "SIGPROF",
  "SIGIO",
];
