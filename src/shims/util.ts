/** node:util. */
import { withSources } from "./positions.ts";

/** The text of anything thrown: name, message and stack, which has neither in this engine; then the causes. */
export function inspect(thrown: unknown): string {
  if (!(thrown instanceof Error)) return typeof thrown === "string" ? thrown : shown(thrown);
  const stack = thrown.stack === undefined || thrown.stack === "" ? "" : `\n${withSources(thrown.stack.trimEnd())}`;
  const more = Object.entries(thrown).filter(([name]) => !["name", "message", "stack", "cause"].includes(name));
  const fields = more.length === 0 ? "" : ` ${shown(Object.fromEntries(more))}`;
  const cause = thrown.cause === undefined ? "" : `\ncause: ${inspect(thrown.cause)}`;
  return `${thrown.name}: ${thrown.message}${fields}${stack}${cause}`;
}

function shown(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
