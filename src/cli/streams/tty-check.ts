/** Questions about our own terminal. */
import { isTerminal, readWindowSize } from "../../linux/sys/tty.ts";
import { CliError } from "../exit.ts";

export function inputIsTerminal(): boolean {
  return isTerminal(0);
}

/**
 * Checks that stdin is a terminal, which typing into a container's terminal needs.
 * @throws CliError
 */
export function checkInputIsTerminal(): void {
  if (!inputIsTerminal()) throw new CliError("the input device is not a TTY");
}

/** Returns [rows, columns] of our terminal, [0, 0] if stdout is not one. */
export function consoleSize(): [number, number] {
  const size = readWindowSize(1);
  return size === undefined ? [0, 0] : [size.rows, size.columns];
}
