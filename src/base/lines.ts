/** Splits byte streams into lines. */
import { LighterError } from "./errors.ts";

/**
 * The lines of a byte stream, as they come. Bytes after the last line's end are dropped.
 * @throws LighterError ("internal") for a line longer than `maxChars`, naming `who` wrote it
 */
export async function* readLines(
  stream: AsyncIterable<Uint8Array>,
  maxChars: number,
  who: string,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const bytes of stream) {
    pending += decoder.decode(bytes, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > maxChars) throw new LighterError("internal", `${who}: a message is too long`);
    yield* lines;
  }
}
