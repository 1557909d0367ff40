/** Sends the output of file workers as answers. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { writable } from "../../base/writable.ts";
import { idleSocketFd, type JobOutput } from "../../engine/mod.ts";
import { COMMON_HEADERS } from "../http/protocol.ts";

/**
 * Sends what a file worker writes as an answer. The caller ends the answer if all went well; cutting it off tells the client of a
 * failure. If the client's connection is a plain one, the worker writes into it directly, and no byte passes this process. A client
 * on this host that `takesFiles` gets descriptors of large ones.
 */
export async function sendOutput(
  request: IncomingMessage,
  response: ServerResponse,
  contentType: string,
  output: JobOutput,
  takesFiles = false,
): Promise<void> {
  response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": contentType });
  const socketFd = await flushInto(request, response);
  if (socketFd !== undefined) {
    await output.sendTo(socketFd, takesFiles && request.socket.remoteAddress === undefined);
    return;
  }
  for await (const chunk of output.bytes()) {
    if (response.destroyed) return; // the client has gone
    if (!response.write(chunk)) await writable(response);
  }
}

/** Sends the head. Resolves with the client's socket if chunks of the answer may be written into it now. */
async function flushInto(
  { httpVersion, socket }: IncomingMessage,
  response: ServerResponse,
): Promise<number | undefined> {
  if (httpVersion !== "1.1" || "encrypted" in socket) return undefined;
  response.flushHeaders();
  await new Promise((resume) => setImmediate(resume));
  return response.destroyed ? undefined : idleSocketFd(socket);
}
