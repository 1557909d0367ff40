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

/** Writes all of `source`, never faster than it is taken, and ends `output`. @throws what `source` throws; not what is wrong with `output` */
export async function writeAll(source: AsyncIterable<Uint8Array>, output: Writable): Promise<void> {
  for await (const chunk of source) {
    if (output.destroyed) return;
    if (!output.write(chunk)) await writable(output);
  }
  output.end();
}
