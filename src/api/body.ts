import type { IncomingMessage } from "node:http";
import { LighterError, messageOf } from "../base/errors.ts";
import { API_BODY_MAX_BYTES } from "../base/limits.ts";

export function tooLarge(): LighterError {
  return new LighterError("invalid", `the request's body is larger than the limit of ${API_BODY_MAX_BYTES} bytes`);
}

/** The whole body. @throws LighterError "invalid" beyond API_BODY_MAX_BYTES */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > API_BODY_MAX_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks);
}

/** @throws LighterError "invalid" for anything but one JSON value sent as such */
export function parseJsonBody(body: Buffer, contentType: string | undefined): unknown {
  if (body.length === 0) throw new LighterError("invalid", "invalid JSON: got EOF while reading request body");
  const mediaType = (contentType ?? "").split(";")[0]!.trim().toLowerCase();
  if (mediaType !== "application/json")
    throw new LighterError(
      "invalid",
      `unsupported Content-Type header (${contentType ?? ""}): must be 'application/json'`,
    );
  try {
    return JSON.parse(body.toString("utf8"));
  } catch (error) {
    throw new LighterError("invalid", `invalid JSON: ${messageOf(error)}`); // a RangeError too: nested too deep
  }
}

export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  return parseJsonBody(await readBody(request), request.headers["content-type"]);
}

/** The parsed value as an object whose fields are yet to be checked. @throws LighterError "invalid" */
export function asObject(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new LighterError("invalid", "invalid JSON: the body must be an object");
}
