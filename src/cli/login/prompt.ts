/** Asks questions on stdout and reads the answers from stdin. */
import { readSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { PROMPT_MAX_BYTES } from "../../base/limits.ts";
import { stdout } from "../output.ts";

const NEWLINE = 0x0a;

/**
 * Returns a line of stdin without its end, or undefined if stdin has ended before any byte. Reads byte by byte: what
 * follows is the next question's answer.
 */
export function readLine(): string | undefined {
  const bytes: number[] = [];
  const byte = new Uint8Array(1);
  while (readByte(byte)) {
    if (byte[0] === NEWLINE) return Buffer.from(bytes).toString().replace(/\r$/, "");
    bytes.push(byte[0] ?? 0);
    if (bytes.length > PROMPT_MAX_BYTES) throw new Error(`a line of stdin is longer than ${PROMPT_MAX_BYTES} bytes`);
  }
  return bytes.length === 0 ? undefined : Buffer.from(bytes).toString();
}

function readByte(byte: Uint8Array): boolean {
  for (;;) {
    try {
      return readSync(0, byte) === 1;
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === "EOF") return false;
      // EAGAIN: somebody made our stdin non-blocking. There is no poll(2) at hand.
      if (errno === "EAGAIN") Bun.sleepSync(10);
      else if (errno !== "EINTR") throw error;
    }
  }
}

/** @throws Error at the end of stdin */
export async function ask(question: string): Promise<string> {
  await stdout.text(question);
  const line = readLine();
  if (line === undefined) throw new Error("error while reading input: EOF");
  return line;
}

/** Asks as `ask` does, without showing what is typed. */
export async function askSecret(question: string): Promise<string> {
  const { disableEcho } = await import("../../linux/sys/tty.ts");
  const restore = disableEcho(0); // before the question, because the answer may be typed ahead
  let line: string | undefined;
  try {
    await stdout.text(question);
    line = readLine();
  } finally {
    restore();
  }
  await stdout.text("\n");
  if (line === undefined) throw new Error("error while reading input: EOF");
  return line;
}

/** Asks for a yes. Only "y" is yes, as for the stock client: "yes" is no. */
export async function confirm(warning: string): Promise<boolean> {
  await stdout.text(`${warning} [y/N] `);
  return readLine()?.trim().toLowerCase() === "y";
}
