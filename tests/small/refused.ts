/**
 * Calls that Node and Bun take and the small engine does not. Its types refuse each of them (`tsc -p src/shims`: one that passed would
 * leave a directive without use); and where a type is not looked at, each throws, and names what is not there.
 */
import { spawn, spawnSync } from "node:child_process";
import { openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";

export const refused: Readonly<Record<string, () => unknown>> = {
  // @ts-expect-error
  '"uid"': () => spawn("/bin/true", [], { uid: 1 }),
  // @ts-expect-error
  '"input"': () => spawnSync("/bin/true", [], { input: "" }),
  // @ts-expect-error
  '"retryDelay"': () => rmSync("/nowhere", { force: true, retryDelay: 5 }),
  // @ts-expect-error
  '"bigint"': () => statSync("/", { bigint: true }),
  // @ts-expect-error
  '"recursive"': () => readdirSync("/dev", { recursive: true }),
  // @ts-expect-error
  '"signal"': () => writeFileSync("/dev/null", "", { signal: undefined ?? 1 }),
  // @ts-expect-error
  '"rs+"': () => openSync("/dev/null", "rs+"),
  // @ts-expect-error
  '"utf16le"': () => readFileSync("/dev/null", "utf16le"),
  // @ts-expect-error
  '"ucs2"': () => Buffer.from("a", "ucs2"),
  // @ts-expect-error
  '"timeout"': () => connect({ path: "/nowhere", timeout: 1 }),
  // Types let this pass: the command line has it for Bun.
  '"tls"': () => Bun.connect({ hostname: "localhost", port: 1, tls: true, socket: {} }),
  // @ts-expect-error
  '"exit"': () => process.on("exit", () => {}),
  // @ts-expect-error
  '"NOPE"': () => process.kill(process.pid, "SIGNOPE"),
};

/** What types alone can tell. */
export const neverRun = [
  // @ts-expect-error: an event that never comes
  () => connect("/nowhere").on("timeout", () => {}),
  // @ts-expect-error
  () => spawn("/bin/true", [], {}).on("message", () => {}),
  // @ts-expect-error: one argument more
  () => connect("/nowhere", () => {}, 1),
  // @ts-expect-error: of a child without a pipe
  () => spawn("/bin/true", [], { stdio: "ignore" }).stdout.on("data", () => {}),
];
