/** Reads the name of the host's operating system. */
import { readFileSync } from "node:fs";

/** The name and version of the host's operating system. Source: os-release(5). */
export function readOperatingSystem(): { OperatingSystem: string; OSVersion: string } {
  let text = "";
  try {
    text = readFileSync("/etc/os-release", "utf8");
  } catch {
    // a host without the file has no name to show
  }
  const field = (name: string) => new RegExp(`^${name}="?([^"\\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  return { OperatingSystem: field("PRETTY_NAME") || "Linux", OSVersion: field("VERSION_ID") };
}
