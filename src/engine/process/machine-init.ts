/** Asks the kernel about a machine's init. */
import { readFileSync, readlinkSync } from "node:fs";
import { shutdownSignal } from "../../machine/mod.ts";
import { isMachine } from "../config/mod.ts";
import type { Container } from "../container.ts";

/** Returns the signal at which a running machine shuts down; undefined for other containers, and for one that has ended. */
export function signalOfInit({ record }: Container): number | undefined {
  if (!isMachine(record.hostConfig) || record.pid === 0) return undefined;
  const directory = `/proc/${record.pid}`;
  try {
    const executable = readlinkSync(`${directory}/exe`);
    return shutdownSignal({ executable, status: readFileSync(`${directory}/status`, "utf8") });
  } catch {
    return undefined; // it has ended meanwhile
  }
}
