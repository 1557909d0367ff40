import { isTerminal, readWindowSize } from "../../linux/sys/tty.ts";
import { CliError } from "../exit.ts";

export function inputIsTerminal(): boolean {
  return isTerminal(0);
}

/** @throws CliError: typing into a container's terminal needs one on our side */
export function checkInputIsTerminal(): void {
  if (!inputIsTerminal()) throw new CliError("the input device is not a TTY");
}

/** [rows, columns] of our terminal, [0, 0] if stdout is none. */
export function consoleSize(): [number, number] {
  const size = readWindowSize(1);
  return size === undefined ? [0, 0] : [size.rows, size.columns];
}
