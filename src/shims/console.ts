/** The global `console`: errors that nobody expected, and what is left of Node's interface. */
import { tryCall } from "../linux/sys/door.ts";
import { giveBackTerminal } from "../linux/sys/tty.ts";
import { host } from "./host.ts";
import { inspect } from "./util.ts";

const STDOUT = 1;
const STDERR = 2;

function print(fd: number, values: readonly unknown[]): void {
  const bytes = new Uint8Array(host.encode(`${values.map(inspect).join(" ")}\n`));
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
