/** Sends streams as answers. */
import type { ServerResponse } from "node:http";
import { writable } from "../../base/writable.ts";
import { COMMON_HEADERS } from "../http/protocol.ts";

/**
 * Sends `body` at the client's pace. A failure before the first chunk is thrown, with the answer not begun; a later one cuts the
 * answer off, which tells the client.
 */
export async function sendStream(
  response: ServerResponse,
  contentType: string,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  for await (const chunk of body) {
    if (!response.headersSent) response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": contentType });
    if (response.destroyed) return; // the client has gone
    if (!response.write(chunk)) await writable(response);
  }
  response.end();
}
