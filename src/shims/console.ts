/** The global `console`: errors that nobody expected, and what is left of Node's interface. */
import { tryCall } from "../linux/sys/door.ts";
import { giveBackTerminal } from "../linux/sys/tty.ts";
import { host } from "./host.ts";
import { withSources } from "./positions.ts";

const STDOUT = 1;
const STDERR = 2;

/** The text of anything thrown: name, message and stack, which has neither in this engine; then the causes. */
export function describe(thrown: unknown): string {
  if (!(thrown instanceof Error)) return typeof thrown === "string" ? thrown : shown(thrown);
  const stack = thrown.stack === undefined || thrown.stack === "" ? "" : `\n${withSources(thrown.stack.trimEnd())}`;
  const more = Object.entries(thrown).filter(([name]) => !["name", "message", "stack", "cause"].includes(name));
  const fields = more.length === 0 ? "" : ` ${shown(Object.fromEntries(more))}`;
  const cause = thrown.cause === undefined ? "" : `\ncause: ${describe(thrown.cause)}`;
  return `${thrown.name}: ${thrown.message}${fields}${stack}${cause}`;
}

function shown(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

function print(fd: number, values: readonly unknown[]): void {
  const bytes = new Uint8Array(host.encode(`${values.map(describe).join(" ")}\n`));
  tryCall("write", fd, bytes, bytes.length);
}

export const consoleShim = {
  log: (...values: unknown[]) => print(STDOUT, values),
  info: (...values: unknown[]) => print(STDOUT, values),
  debug: (...values: unknown[]) => print(STDOUT, values),
  error: (...values: unknown[]) => print(STDERR, values),
  warn: (...values: unknown[]) => print(STDERR, values),
};

/** The code of a command that ends by a bug. */
const EXIT_BUG = 125;

host.onUncaught((error) => {
  giveBackTerminal();
  print(STDERR, [error]);
  tryCall("exit_group", EXIT_BUG);
});
