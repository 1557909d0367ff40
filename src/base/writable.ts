import type { Writable } from "node:stream";

/** Resolves when `output` takes more, or when it has closed and takes nothing any more. No listener is left. */
export function writable(output: Writable): Promise<void> {
  if (output.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const settle = () => {
      output.off("drain", settle).off("close", settle);
      resolve();
    };
    output.on("drain", settle).on("close", settle);
  });
}
