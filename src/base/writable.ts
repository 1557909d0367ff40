/** Writes to streams without filling their buffers. */
import type { Writable } from "node:stream";

/** Resolves when `output` takes more, or has closed and takes nothing. Leaves no listener. */
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

/**
 * Writes all of `source`, as fast as `output` takes it, and ends `output`. @throws what `source` throws; errors of `output` are
 * ignored
 */
export async function writeAll(source: AsyncIterable<Uint8Array>, output: Writable): Promise<void> {
  for await (const chunk of source) {
    if (output.destroyed) return;
    if (!output.write(chunk)) await writable(output);
  }
  output.end();
}
