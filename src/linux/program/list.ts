import { capabilitiesOf } from "../capability/mod.ts";
import { describeMessages } from "../netlink/describe.ts";
import { type ArgKind, AT_FDCWD, type Call, CLONE_FLAGS, callOf, ENUM_TABLES, type FlagTable } from "./calls.ts";
import type { Arg, Op, Program, SharedData } from "./op.ts";

/**
 * The program as text, one line an op: index, what, its arguments by symbolic names, why. For `explain`, for golden
 * tests and for whoever wonders what a start does. $name is a slot.
 */
export function listProgram(program: Program): string {
  const lines: string[] = [];
  const stored: Stored = new Map();
  let index = 0;
  for (const section of ["host", "init", "cleanup"] as const) {
    lines.push(`# ${TITLES[section]}`);
    for (const op of program[section]) {
      if (op.kind === "store") remember(stored, op);
      lines.push(formatOp(index, op, stored));
      index++;
    }
    lines.push("");
  }
  if (program.host.some(({ kind }) => kind === "clone")) lines.push(...superviseLines(program));
  return `${lines.join("\n")}\n`;
}

const TITLES = {
  host: "host: in the launcher, up to and after the clone",
  init: "init: in the new process, up to its execve",
  cleanup: "cleanup: in the launcher, when the process has ended or its start has failed",
} as const;

/** Which slots' values are where in shared structs. */
type Stored = Map<SharedData, Map<number, string>>;

function remember(stored: Stored, { slot, into, at }: Op & { kind: "store" }): void {
  const places = stored.get(into) ?? new Map<number, string>();
  stored.set(into, places.set(at, slot));
}

function formatOp(index: number, op: Op, stored: Stored): string {
  const { verb, rest } = describe(op, stored);
  const out = "out" in op && op.out ? ` -> $${op.out}` : "";
  const condition = `${op.guard ? ` if $${op.guard}` : ""}${op.unless ? ` unless $${op.unless}` : ""}`;
  const tolerated = op.tolerate?.length ? ` (${op.tolerate.join(", ")} is fine)` : "";
  const what = `${verb.padEnd(16)} ${rest}${out}${condition}${tolerated}`.trimEnd();
  return `${String(index).padStart(3)}  ${what.padEnd(88)}  # ${op.why}`;
}

function describe(op: Op, stored: Stored): { verb: string; rest: string } {
  switch (op.kind) {
    case "call":
      return { verb: op.name, rest: callArguments(callOf(op.name), op.args) };
    case "write":
      return { verb: "write", rest: `${op.dir ? `$${op.dir} ` : ""}${op.path} ${quote(op.data)}` };
    case "clone":
      return {
        verb: "clone3",
        rest: `${flags(CLONE_FLAGS, op.flags)}${op.cgroup ? ` CLONE_INTO_CGROUP=$${op.cgroup}` : ""}`,
      };
    case "pipe":
      return { verb: "pipe2", rest: `-> $${op.read} $${op.write}` };
    case "send":
      return { verb: "send", rest: op.fd ? `$${op.fd}` : "" };
    case "receive":
      return { verb: "receive", rest: "" };
    case "await":
      return { verb: "await", rest: `${op.fd}` };
    case "checkExecutable":
      return { verb: "check-executable", rest: op.paths.join(" or ") };
    case "execute":
      return {
        verb: "execve",
        rest: `${op.paths.join(" or ")} ${JSON.stringify(op.argv)} env ${JSON.stringify(op.env)}`,
      };
    case "openTarget":
      return {
        verb: "open-target",
        rest: `$${op.root}/${op.path} ${op.type}${op.noSymlinks ? " RESOLVE_NO_SYMLINKS" : ""}`,
      };
    case "checkFilesystem":
      return { verb: "check-fs", rest: `$${op.fd} 0x${op.magic.toString(16)}` };
    case "checkDevice":
      return { verb: "check-device", rest: `$${op.fd} ${op.type} ${op.major}:${op.minor}` };
    case "copyUp": {
      const what = (["tree", "mode", "owner"] as const).filter((part) => op[part]);
      return { verb: "copy-up", rest: `$${op.from} to $${op.to}: ${what.join(", ")}` };
    }
    case "userNamespace":
      return { verb: "user-namespace", rest: `$${op.proc} uids ${quote(op.uidMap)} gids ${quote(op.gidMap)}` };
    case "rebirth":
    case "adopt":
      return { verb: op.kind, rest: "" };
    case "offerFd":
      return { verb: "offer-fd", rest: `$${op.fd}` };
    case "forwardFd":
      return {
        verb: "forward-fd",
        rest: `of $${op.pid} to $${op.socket} with ${op.texts.map(quote).join(` $${op.pid} `)}`,
      };
    case "checkCwd":
      return { verb: "check-cwd", rest: "" };
    case "writeByPid":
      return {
        verb: "write",
        rest: `${op.dir ? `$${op.dir} ` : ""}${op.prefix}$${op.pid}${op.suffix} ${quote(op.data)}`,
      };
    case "netlink": {
      const { protocol, messages } = op;
      const slotAt = (offset: number) => stored.get(messages)?.get(offset);
      return { verb: "netlink", rest: `${protocol} ${describeMessages(protocol, messages.data, slotAt)}` };
    }
    case "store":
      return { verb: "store", rest: `$${op.slot} into ${op.into.name}+${op.at}` };
    case "capture":
      return { verb: "capture", rest: op.path };
    case "killCgroup":
      return { verb: "kill-cgroup", rest: op.procsPath };
    case "removeCgroup":
      return { verb: "remove-cgroup", rest: op.path };
    case "checkProcess":
      return { verb: "check-process", rest: `${op.pid} of ${op.startTime} ${op.lives ? "lives" : "has ended"}` };
    case "checkText":
      return { verb: "check-text", rest: `${op.path} ${quote(op.text)}` };
    case "awaitReadersGone":
      return { verb: "await-closed", rest: `$${op.fd} ${op.timeoutMs} ms` };
    case "removeTree":
      return { verb: "remove-tree", rest: `$${op.directory} ${op.path}` };
    case "awaitStart":
      return {
        verb: op.start ? "start" : "await-start",
        rest: `on ${op.connection}${op.ending ? `, unless signals 0x${op.ending.toString(16)}` : ""}`,
      };
    case "writeProcess": {
      const [before, between, after] = op.texts.map(quote);
      const time = op.texts[2] === "" ? "" : ` its start time ${after}`;
      return { verb: "write-process", rest: `$${op.fd} ${before} $${op.pid} ${between}${time}` };
    }
    case "awaitExit":
      return { verb: "await-exit", rest: `on ${op.connection}, signals 0x${op.signals.toString(16)}` };
    case "dropBounding":
      return { verb: "drop-bounding", rest: capabilitiesOf(op.capabilities).join(" ") };
  }
}

function callArguments(call: Call, args: readonly Arg[]): string {
  const kinds = call.args.filter((_, index) => index !== call.fixed?.index);
  return args.map((arg, index) => formatArg(arg, kinds[index]!)).join(" ");
}

function formatArg(arg: Arg, kind: ArgKind): string {
  if (typeof arg === "object") {
    if ("slot" in arg) return `$${arg.slot}`;
    if ("text" in arg) return arg.text === "" ? '""' : arg.text;
    if ("shared" in arg) return arg.shared.name;
    return `{${arg.show}}`;
  }
  const value = Number(arg);
  if (kind.is !== "number") return value === 0 ? "NULL" : String(arg);
  switch (kind.show) {
    case "fd":
      return value === AT_FDCWD ? "AT_FDCWD" : String(value);
    case "octal":
      return value === 0 ? "0" : `0${value.toString(8)}`;
    case "hex":
      return `0x${value.toString(16)}`;
    case "decimal":
      return String(arg);
    default:
      return ENUM_TABLES.has(kind.show) ? enumerated(kind.show, value) : flags(kind.show, value);
  }
}

function enumerated(table: FlagTable, value: number): string {
  return table.find(([, number]) => number === value)?.[0] ?? String(value);
}

function flags(table: FlagTable, value: number): string {
  let left = value >>> 0;
  const names: string[] = [];
  for (const [name, bits] of table)
    if (bits !== 0 && (left & bits) === bits) {
      names.push(name);
      left = (left & ~bits) >>> 0;
    }
  if (left !== 0) names.push(`0x${left.toString(16)}`);
  return names.length === 0 ? "0" : names.join("|");
}

/** Newlines shown as such; one line an op. */
function quote(data: string): string {
  return JSON.stringify(data);
}

function superviseLines({ supervise }: Program): string[] {
  const { log, terminal, consoleFd, stdin, stdout, stderr, hold, handOver, exitPath, socketPath } = supervise;
  const streams = terminal
    ? "terminal: the fd that init sends"
    : stdout
      ? `stdin ${stdin ? `$${stdin}` : "none"} stdout $${stdout} stderr $${stderr}`
      : consoleFd
        ? `terminal: the fd that init sends, to the console socket, ${consoleFd}`
        : "stdio is the caller's";
  const lines = ["# supervise", `     ${streams}`];
  if (hold) lines.push("     run the program when a client says START");
  if (handOver) lines.push("     leave the process to the caller when a client says RELEASE");
  if (log) lines.push(`     log ${log.path}${log.maxBytes ? ` max ${log.maxBytes} bytes, ${log.maxFiles} files` : ""}`);
  lines.push(`     serve ${socketPath}`, `     exit record ${exitPath}`);
  return lines;
}
