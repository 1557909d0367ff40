/** node:os. */
import { SIGNALS, type SignalName } from "../base/signals.ts";
import { readFileSync } from "./fs.ts";
import { call } from "./host.ts";

export const constants = {
  // Node has no SIGCLD, which is SIGCHLD.
  signals: Object.fromEntries(
    Object.entries(SIGNALS).flatMap(([name, number]) => (name === "CLD" ? [] : [[`SIG${name}`, number]])),
  ) as Readonly<Record<SignalName, number>>,
};

export function homedir(): string {
  return process.env.HOME || homeOf(call("geteuid"));
}

function homeOf(uid: number): string {
  try {
    const lines = (readFileSync("/etc/passwd", "utf8") as string).split("\n").map((line) => line.split(":"));
    return lines.find((fields) => fields[2] === String(uid))?.[5] || "/";
  } catch {
    return "/";
  }
}

export function tmpdir(): string {
  const path = process.env.TMPDIR || process.env.TMP || process.env.TEMP || "/tmp";
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
}
