/** Reads request bodies, within a limit for each and one for all. */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import { LighterError } from "../../base/errors.ts";
import {
  API_BODIES_MAX_BYTES,
  API_BODY_ASSURED_BYTES,
  API_BODY_MAX_BYTES,
  API_BODY_TIMEOUT_MS,
} from "../../base/limits.ts";
import { parseGoJson } from "../../spec/go-json.ts";

function tooLarge(): LighterError {
  return new LighterError("invalid", `the request's body is larger than the limit of ${API_BODY_MAX_BYTES} bytes`);
}

/** The bytes of all unfinished bodies together, without the first part of each, which every request may have. */
let heldBytes = 0;

/** The bytes of a body that count against the common limit. */
function countedBytes(length: number): number {
  return Math.max(0, length - API_BODY_ASSURED_BYTES);
}

/**
 * Reads the whole body. `bytes`: the body's length, where the stream continues after it; the rest stays in the stream.
 * @throws LighterError "invalid" beyond API_BODY_MAX_BYTES or if the body is cut off; "unavailable" if other requests' bodies
 * take up the limit; "timed-out"
 */
export function readBody(
  body: Readable,
  { bytes, timeoutMs = API_BODY_TIMEOUT_MS }: { bytes?: number; timeoutMs?: number } = {},
): Promise<Buffer> {
  if (bytes === 0) return Promise.resolve(Buffer.alloc(0));
  if (bytes !== undefined && !(bytes <= API_BODY_MAX_BYTES)) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const settle = (conclude: () => void) => {
      clearTimeout(timer);
      body.off("data", onData).off("end", onEnd).off("close", onCut).off("error", onCut);
      heldBytes -= countedBytes(length);
      conclude();
    };
    const fail = (error: LighterError) => settle(() => reject(error));
    const whole = () => (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
    const onData = (data: Buffer) => {
      const chunk = bytes === undefined ? data : data.subarray(0, bytes - length);
      heldBytes += countedBytes(length + chunk.length) - countedBytes(length);
      length += chunk.length;
      chunks.push(chunk);
      if (length === bytes) {
        body.pause();
        if (chunk.length < data.length) body.unshift(data.subarray(chunk.length));
        settle(() => resolve(whole()));
      } else if (length > API_BODY_MAX_BYTES) fail(tooLarge());
      else if (heldBytes > API_BODIES_MAX_BYTES)
        fail(new LighterError("unavailable", "too many large request bodies are under way: try again later"));
    };
    const onCut = () => fail(new LighterError("invalid", "the request's body ended early"));
    const onEnd = () => (bytes === undefined ? settle(() => resolve(whole())) : onCut());
    const onTimeout = () => fail(new LighterError("timed-out", "the request's body has not come in time"));
    const timer = setTimeout(onTimeout, timeoutMs);
    if (body.readableEnded) onEnd();
    else body.on("data", onData).on("end", onEnd).on("close", onCut).on("error", onCut).resume();
  });
}

/**
 * Parses a request's JSON; undefined if the request has no body.
 * @throws LighterError "invalid" for anything but one JSON value with JSON's content type, with Docker's texts
 */
export function parseJsonBody(body: Buffer, contentType: string | undefined): unknown {
  if (body.length === 0 && contentType === undefined) return undefined;
  checkContentType(contentType ?? "");
  return body.length === 0 ? undefined : parseGoJson(body);
}

/** Refuses any content type but JSON's. Source: moby api/server/httputils, CheckForJSON; Go's mime.ParseMediaType. */
function checkContentType(given: string): void {
  const mediaType = given.split(";")[0]!.trim().toLowerCase();
  if (mediaType === "application/json") return;
  const flaw =
    mediaType === "" ? "no media type" : /^\S+\s/.test(mediaType) ? "expected slash after first token" : undefined;
  throw new LighterError(
    "invalid",
    flaw === undefined
      ? `unsupported Content-Type header (${given}): must be 'application/json'`
      : `malformed Content-Type header (${given}): mime: ${flaw}`,
  );
}

/** Reads and parses a request's JSON. @throws LighterError as `readBody` and `parseJsonBody` */
export async function readJsonBody(request: IncomingMessage): Promise<unknown> {
  return parseJsonBody(await readBody(request), request.headers["content-type"]);
}

/** Refuses a request without a body where one is needed. @throws LighterError "invalid" */
export function required(json: unknown): unknown {
  if (json === undefined) throw new LighterError("invalid", "invalid JSON: got EOF while reading request body");
  return json;
}
