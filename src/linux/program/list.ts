/** Shows a program as text. */
import type { ExplainedOp, ExplainedSection, Listing } from "../../spec/explanation.ts";
import { capabilitiesOf } from "../capability/mod.ts";
import { describeMessages } from "../netlink/describe.ts";
import { AT_FDCWD } from "../sys/abi.ts";
import type { PhaseStart } from "./builder.ts";
import { type ArgKind, type Call, callOf, ENUM_TABLES, type FlagTable, type NumberForm } from "./calls.ts";
import type { AnyField, Place, SharedData } from "./fields.ts";
import { type Arg, type NetlinkProtocol, OPS, type Op, type Program, type Row } from "./op.ts";
import { phaseOf } from "./phases.ts";

/**
 * The program as text, one line for each op: its index, kind, arguments by symbolic names, and reason. Logs and the golden tests
 * show it. $name is a slot.
 */
export function listProgram(program: Program): string {
  return formatListing({ ops: listOps(program), supervise: superviseLines(program) });
}

/** The ops of all of a program's sections. `phasesOf`: where the phases of a section begin. */
export function listOps(
  program: Program,
  phasesOf: Partial<Record<ExplainedSection, readonly PhaseStart[]>> = {},
): ExplainedOp[] {
  const listed: ExplainedOp[] = [];
  const stored: Stored = new Map();
  for (const section of SECTIONS) {
    const starts = phasesOf[section] ?? [];
    for (const [at, op] of program[section].entries()) {
      if (op.kind === "store") remember(stored, op);
      listed.push(listOp(op, stored, { index: listed.length, section, phase: phaseOf(section, starts, op, at) }));
    }
  }
  return listed;
}

const SECTIONS = ["host", "init", "cleanup"] as const;

/** For each shared struct, the slots whose values are stored into it, by offset. */
type Stored = Map<SharedData, Map<number, string>>;

function remember(stored: Stored, { slot, into }: Op & { kind: "store" }): void {
  const places = stored.get(into.shared) ?? new Map<number, string>();
  stored.set(into.shared, places.set(into.at, slot));
}

function listOp(op: Op, stored: Stored, place: Pick<ExplainedOp, "index" | "section" | "phase">): ExplainedOp {
  const { verb, rest } = describe(op, stored);
  return {
    ...place,
    call: verb,
    args: rest,
    ...("out" in op && op.out ? { out: op.out } : {}),
    ...(op.guard ? { guard: op.guard } : {}),
    ...(op.unless ? { unless: op.unless } : {}),
    ...(op.tolerate?.length ? { tolerated: [...op.tolerate] } : {}),
    why: op.why,
  };
}

/** A listing as text. */
export function formatListing({ ops, supervise }: Listing): string {
  const lines: string[] = [];
  for (const section of SECTIONS) {
    lines.push(`# ${TITLES[section]}`);
    for (const op of ops) if (op.section === section) lines.push(formatOp(op));
    lines.push("");
  }
  if (supervise.length > 0) lines.push("# supervise", ...supervise.map((line) => `     ${line}`));
  return `${lines.join("\n")}\n`;
}

const TITLES: Readonly<Record<ExplainedSection, string>> = {
  host: "host: in the launcher, up to and after the clone",
  init: "init: in the new process, up to its execve",
  cleanup: "cleanup: in the launcher, when the process has ended or its start has failed",
};

function formatOp(op: ExplainedOp): string {
  return `${String(op.index).padStart(3)}  ${formatCall(op).padEnd(88)}  # ${op.why}`;
}

function formatCall({ call, args, out, guard, unless, tolerated }: ExplainedOp): string {
  const condition = `${guard ? ` if $${guard}` : ""}${unless ? ` unless $${unless}` : ""}`;
  const fine = tolerated ? ` (${tolerated.join(", ")} is fine)` : "";
  return `${call.padEnd(16)} ${args}${out ? ` -> $${out}` : ""}${condition}${fine}`.trimEnd();
}

function describe(op: Op, stored: Stored): { verb: string; rest: string } {
  if (op.kind === "call") return { verb: op.name, rest: callArguments(callOf(op.name), op.args) };
  const { listing, fields }: Row = OPS[op.kind];
  const values = op as unknown as Readonly<Record<string, unknown>>;
  const isThere = (part: string) => [...part.matchAll(FIELD)].every(([, name]) => Boolean(values[name!]));
  const fill = (part: string) =>
    part.replace(FIELD, (_, name: string) => formatField(fields[name]!, values[name], stored, values));
  const text = listing.split(/\[(.*?)\]/).map((part, index) => (index % 2 === 0 || isThere(part) ? fill(part) : ""));
  return splitVerb(text.join(""));
}

/** A placeholder for a field in a row's line. */
const FIELD = /\{(\w+)\}/g;

function splitVerb(line: string): { verb: string; rest: string } {
  const end = line.indexOf(" ");
  return end < 0 ? { verb: line, rest: "" } : { verb: line.slice(0, end), rest: line.slice(end + 1) };
}

function formatField(
  field: AnyField,
  value: unknown,
  stored: Stored,
  { protocol }: Readonly<Record<string, unknown>>,
): string {
  switch (field.is) {
    case "number":
      return field.show === "capabilities"
        ? capabilitiesOf(value as bigint).join(" ")
        : formatNumber(value as number, field.show);
    case "slot":
    case "newSlot":
      return `$${value}`;
    case "text":
      return field.quoted ? JSON.stringify(value) : String(value);
    case "bytes":
      return JSON.stringify(value);
    case "vector":
      return field.of === "paths" ? (value as readonly string[]).join(" or ") : JSON.stringify(value);
    case "choice":
      return field.among.find(([choice]) => choice === value)![2];
    case "messages": {
      const shared = value as SharedData;
      return describeMessages(protocol as NetlinkProtocol, shared.data, (offset) => stored.get(shared)?.get(offset));
    }
    case "place":
      return `${(value as Place).shared.name}+${(value as Place).at}`;
    case "out":
      return "";
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
  if (kind.is === "number") return formatNumber(arg, kind.show);
  return Number(arg) === 0 ? "NULL" : String(arg);
}

function formatNumber(number: number | bigint, show: NumberForm): string {
  const value = Number(number);
  switch (show) {
    case "fd":
      return value === AT_FDCWD ? "AT_FDCWD" : String(value);
    case "octal":
      return value === 0 ? "0" : `0${value.toString(8)}`;
    case "hex":
      return `0x${value.toString(16)}`;
    case "decimal":
      return String(number);
    default:
      return ENUM_TABLES.has(show) ? enumerated(show, value) : flags(show, value);
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

/** What the supervisor does; nothing for a program that makes no process. */
export function superviseLines({ host, supervise }: Program): string[] {
  if (!host.some(({ kind }) => kind === "clone")) return [];
  const { log, terminal, consoleFd, stdin, stdout, stderr, hold, handOver, exitPath, socketPath } = supervise;
  const streams = terminal
    ? "terminal: the fd that init sends"
    : stdout
      ? `stdin ${stdin ? `$${stdin}` : "none"} stdout $${stdout} stderr $${stderr}`
      : consoleFd
        ? `terminal: the fd that init sends, to the console socket, ${consoleFd}`
        : "stdio is the caller's";
  const lines = [streams];
  if (hold) lines.push("run the program when a client says START");
  if (handOver) lines.push("leave the process to the caller when a client says RELEASE");
  if (log)
    lines.push(
      `log ${log.path}${log.format === "cri" ? " for kubelet" : ""}${log.maxBytes ? ` max ${log.maxBytes} bytes, ${log.maxFiles} files` : ""}`,
    );
  lines.push(`serve ${socketPath}`, `exit record ${exitPath}`);
  return lines;
}
