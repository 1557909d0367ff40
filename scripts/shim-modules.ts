/** Which modules of `src/shims` stand for Node's and Bun's in the program of the short commands. */
export const SHIMS: Readonly<Record<string, string>> = {
  "node:fs": "fs",
  "node:path": "path",
  "node:os": "os",
  "node:net": "socket",
  "node:events": "events",
  "node:crypto": "crypto",
  "node:child_process": "child-process",
  "bun:ffi": "ffi",
  "bun:test": "../../tests/small/bun-test",
  "node:tls": "unsupported",
  "node:zlib": "unsupported",
  "node:stream": "unsupported",
  "node:fs/promises": "unsupported",
};
