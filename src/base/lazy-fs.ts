/** Loads node:fs when it is needed: importing it takes 0.7 ms, which a command that reads no file need not pay. */
export function lazyFs(): typeof import("node:fs") {
  return process.getBuiltinModule("node:fs");
}
