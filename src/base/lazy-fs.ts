/** node:fs for what few commands do: to import it takes 0.7 ms of a start, which a command that reads no file need not pay. */
export function lazyFs(): typeof import("node:fs") {
  return process.getBuiltinModule("node:fs");
}
