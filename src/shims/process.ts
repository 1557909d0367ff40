/** The global `process`. */

import type { SignalName } from "../base/signals.ts";
import { PATH_MAX } from "../linux/sys/abi.ts";
import { tryCall } from "../linux/sys/door.ts";
import { giveBackTerminal } from "../linux/sys/tty.ts";
import { readlinkSync } from "./fs.ts";
import { call, host, systemError } from "./host.ts";
import { offSignal, onSignal, signalNumber } from "./signals.ts";
import { Readable } from "./streams.ts";

/** Where Bun shows the first file of a program that it has compiled. */
const ENTRY = "/$bunfs/root/lighter";
let env: Record<string, string | undefined> | undefined;
let stdin: Readable | undefined;

function environment(): Record<string, string | undefined> {
  if (host.environ === undefined) throw new Error("a module reads the environment while it is evaluated");
  env ??= Object.fromEntries(
    host.environ.map((entry) => {
      const at = entry.indexOf("=", 1);
      return at < 0 ? [entry, ""] : [entry.slice(0, at), entry.slice(at + 1)];
    }),
  );
  return env;
}

function argv(): readonly string[] {
  if (host.argv === undefined) throw new Error("a module reads the arguments while it is evaluated");
  return host.argv;
}

export const processShim = {
  arch: host.arch,
  platform: "linux",
  version: "",
  versions: {},
  get argv(): string[] {
    return [argv()[0]!, ENTRY, ...argv().slice(1)];
  },
  get argv0(): string {
    return argv()[0]!;
  },
  get env() {
    return environment();
  },
  get pid(): number {
    return call("getpid");
  },
  get ppid(): number {
    return call("getppid");
  },
  get execPath(): string {
    return executablePath();
  },
  get stdin(): Readable {
    stdin ??= new Readable(0);
    return stdin;
  },
  cwd(): string {
    const room = new Uint8Array(PATH_MAX);
    const length = call("getcwd", room, room.length);
    return host.decode(room.subarray(0, length - 1));
  },
  chdir(directory: string): void {
    call("chdir", directory);
  },
  exit(code = 0): never {
    giveBackTerminal();
    for (;;) call("exit_group", code);
  },
  kill(pid: number, signal: SignalName | number = "SIGTERM"): true {
    const rc = tryCall("kill", pid, typeof signal === "number" ? signal : signalNumber(signal));
    if (rc < 0) throw systemError(rc, "kill");
    return true;
  },
  umask(mask?: number): number {
    const before = call("umask", mask ?? 0o022);
    if (mask === undefined) call("umask", before);
    return before;
  },
  getuid: () => call("getuid"),
  geteuid: () => call("geteuid"),
  getgid: () => call("getgid"),
  getegid: () => call("getegid"),
  on: onSignal,
  off: offSignal,
  nextTick(work: (...args: unknown[]) => void, ...args: unknown[]): void {
    Promise.resolve().then(() => work(...args));
  },
};

let executable: string | undefined;

function executablePath(): string {
  executable ??= readlinkSync("/proc/self/exe");
  return executable;
}
