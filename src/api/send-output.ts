import type { ServerResponse } from "node:http";
import type { JobOutput } from "../engine/mod.ts";
import { COMMON_HEADERS } from "./protocol.ts";
import { writable } from "./writable.ts";

/** Sends what a file worker writes as an answer that the caller ends when all is well: who cuts it off tells the client. */
export async function sendOutput(response: ServerResponse, contentType: string, output: JobOutput): Promise<void> {
  response.writeHead(200, { ...COMMON_HEADERS, "Content-Type": contentType });
  for await (const chunk of output.bytes()) {
    if (response.destroyed) return; // the client has gone
    if (!response.write(chunk)) await writable(response);
  }
}
