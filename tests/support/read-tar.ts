/** Reads whole archives with the project's own reader. */
import { type TarEntry, TarReader } from "../../src/image/tar/tar-reader.ts";

export interface ReadEntry extends TarEntry {
  content: Buffer;
}

/** All entries with their content; holes are zeros. The archive is pushed in pieces of `step` bytes. */
export function readTar(archive: Uint8Array, step = archive.length): ReadEntry[] {
  const entries: ReadEntry[] = [];
  let open: ReadEntry | undefined;
  const reader = new TarReader({
    entry: (entry) => {
      if (open !== undefined) throw new Error(`entry "${entry.path}" begins inside "${open.path}"`);
      open = { ...entry, content: Buffer.alloc(entry.size) };
      entries.push(open);
    },
    data: (bytes, offset) => open!.content.set(bytes, offset),
    endEntry: () => {
      open = undefined;
    },
  });
  for (let at = 0; at < archive.length; at += step) reader.push(archive.subarray(at, at + step));
  reader.end();
  return entries;
}

export async function collect(stream: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(new Uint8Array(chunk)); // Buffer.slice would share it
  return Buffer.concat(chunks);
}
