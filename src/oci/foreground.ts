/**
 * Waits in the foreground for a process's end. Signals are passed to the process, and with a terminal its bytes are relayed.
 * Without a terminal, the launcher replaces this process as soon as nothing is left to decide (`standInPlan`): it needs little
 * memory, and Bun's exit happens while the container starts.
 */
import type { Socket } from "node:net";
import { basename } from "node:path";
import { LighterError } from "../base/errors.ts";
import { FORWARDED_SIGNALS, SIGNALS } from "../base/signals.ts";
import { selfCommand } from "../linux/process/self.ts";
import { readWindowSize, setRawMode } from "../linux/sys/tty.ts";
import type { AttachPlan, ExecRequest, StandInPlan, Supervised } from "../runtime/mod.ts";
import type { OciContext } from "./command.ts";
import type { Flag, Parsed } from "./flags.ts";
import { openRuntime, pidFilePaths } from "./launch.ts";
import { writeAll } from "./output.ts";
import { programName } from "./version.ts";

/**
 * The flags by which a stand-in leaves the end, or all of it, to the command that it stands in for. Each names what exists of the
 * container.
 */
export const standInFlags: readonly Flag[] = [
  { name: "finish", kind: "string", own: true, help: "" },
  { name: "again", kind: "string", own: true, help: "" },
];

/** What `run` and `exec` tell about themselves for a stand-in. */
interface ForegroundCommand extends Pick<StandInPlan, "state" | "end"> {
  command: string;
  parsed: Parsed;
  request: Pick<ExecRequest, "preserveFds">;
  /** The container's or exec's name for the flags above. */
  name: string;
  /** Further flags for finishing it. */
  finish?: readonly string[];
}

export function standInPlan(
  { globalArgs, args }: OciContext,
  { command, parsed, request, name, finish = [], ...plan }: ForegroundCommand,
): StandInPlan {
  const [path = "", ...entry] = selfCommand(process.execPath);
  const runtime = [
    ...(entry.length === 0 ? [programName()] : ["lighter", ...entry, "runtime"]),
    ...globalArgs,
    command,
  ];
  const pidFile = parsed.string("pid-file");
  return {
    ...plan,
    ...(pidFile === undefined ? {} : { pidFile: pidFilePaths(pidFile) }),
    argv: [basename(process.argv0), ...process.argv.slice(2)],
    signals: signalsToForward(false).map(({ number }) => number),
    preserved: Array.from({ length: request.preserveFds ?? 0 }, (_, i) => 3 + i),
    otherwise: {
      path,
      env: Object.entries(process.env).map(([variable, value]) => `${variable}=${value}`),
      again: [...runtime, `--again=${name}`, ...args],
      finish: [...runtime, `--finish=${name}`, ...finish, "--", parsed.arg(0)],
    },
  };
}

/** The exit code of a process that a stand-in started, and that has ended or will. */
export async function waitForRecord(runDirectory: string): Promise<number> {
  const found = await (await openRuntime()).reconnect(runDirectory);
  if (found === "lost") throw new LighterError("unavailable", "the supervisor is gone");
  return "exited" in found ? await waitInForeground(found) : found.exitCode;
}

/** How a foreground command attaches to a process with a terminal. */
export const TERMINAL_ATTACH: AttachPlan = { stdin: true, stdout: true, stderr: true, closeStdinOnEnd: false };

/** Waits for the process's exit code: 128 + n for signal n. */
export async function waitInForeground(supervised: Supervised): Promise<number> {
  const [terminal] = supervised.attached;
  const stopForwarding = forwardSignals(supervised, terminal !== undefined);
  const restore = terminal === undefined ? () => {} : relayTerminal(supervised, terminal);
  try {
    const { exitCode } = await supervised.exited;
    await supervised.gone;
    return exitCode;
  } finally {
    restore();
    stopForwarding();
  }
}

function forwardSignals(supervised: Supervised, terminal: boolean): () => void {
  const handlers = signalsToForward(terminal).map(({ name, number }) => {
    const forward = () => void supervised.signal(number).catch(() => {}); // the process has just ended
    process.on(name, forward);
    return () => void process.off(name, forward);
  });
  return () => {
    for (const stop of handlers) stop();
  };
}

function signalsToForward(terminal: boolean): { name: NodeJS.Signals; number: number }[] {
  const names: readonly NodeJS.Signals[] = terminal ? FORWARDED_SIGNALS : [...FORWARDED_SIGNALS, "SIGWINCH"];
  return names.map((name) => ({ name, number: SIGNALS[name.replace(/^SIG/, "")]! }));
}

/** Makes this command's terminal raw, if it has one, until the returned function is called. */
function relayTerminal(supervised: Supervised, terminal: Socket): () => void {
  const restore = setRawMode(0);
  const resize = () => {
    const size = readWindowSize(0);
    if (size !== undefined) supervised.resize(size.rows, size.columns).catch(() => {}); // the process has just ended
  };
  resize();
  process.on("SIGWINCH", resize);
  terminal.on("error", () => {});
  terminal.on("data", (bytes: Buffer) => writeAll(1, bytes));
  const input = (bytes: Buffer) => void terminal.write(bytes);
  process.stdin.on("data", input);
  process.stdin.once("end", () => terminal.end());
  return () => {
    process.off("SIGWINCH", resize);
    process.stdin.off("data", input);
    restore();
  };
}
