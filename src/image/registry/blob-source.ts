/**
 * Reads blobs as streams. A source is plain JSON with all that is needed, so that another process can read a blob that this one
 * has found and may read.
 *
 *   position 0 ──► GET ──► 200 ──► pieces … broken ──► GET, Range: bytes=N- ──► 206 ──► pieces … end
 *                                                                          └──► 200: the first N bytes are dropped
 */
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { REGISTRY_ERROR_MAX_BYTES } from "../../base/limits.ts";
import { contentType } from "./manifest.ts";
import { refusalError } from "./registry-error.ts";
import { isTransientOfKnown, Retries, type RetryTiming } from "./retry.ts";
import { ConnectionError, describe, type HttpResponse, sendFollowing, type TlsOptions } from "./transport.ts";

export interface BlobSource {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** The servers, mirrors first. At least one. */
  readonly endpoints: readonly BlobEndpoint[];
  /** The User-Agent of whom the blob is read for. */
  readonly clientAgent?: string;
  /** How often each endpoint is tried without progress, if not the default number of times. */
  readonly attempts?: number;
}

export interface BlobEndpoint {
  readonly url: string;
  /** The whole header. */
  readonly authorization?: string;
  readonly tls: TlsOptions;
}

export interface OpenBlobOptions {
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Partial<RetryTiming> | undefined;
}

/**
 * The blob's bytes from `offset` (at most its size) to its end: exactly so many, or an error. A broken connection is resumed
 * where it broke; the next endpoint is tried when one refuses or fails too often. A slow reader slows the registry; ending the
 * loop early closes the connection. The reader must verify the digest.
 * @throws RegistryError, for which `isUnauthorized` says that a fresh source may help; ConnectionError;
 * LighterError ("invalid") if the registry's blob has another length.
 */
export async function* openBlob(
  source: BlobSource,
  offset: number,
  options: OpenBlobOptions = {},
): AsyncGenerator<Uint8Array, void> {
  let position = offset;
  const timing = { ...(source.attempts === undefined ? {} : { attempts: source.attempts }), ...options.timing };
  for (const [index, endpoint] of source.endpoints.entries()) {
    const retries = new Retries(timing, options.signal, isTransientOfKnown);
    while (position < source.sizeBytes) {
      try {
        for await (const piece of readOnce(source, endpoint, position, options)) {
          position += piece.length;
          retries.progress();
          yield piece;
        }
      } catch (error) {
        options.signal?.throwIfAborted();
        if (!(error instanceof LighterError)) throw error;
        try {
          await retries.failed(error);
        } catch (final) {
          options.signal?.throwIfAborted();
          if (index === source.endpoints.length - 1) throw final;
          break;
        }
      }
    }
  }
}

/** Makes one request: yields bytes from `position` until the blob's end, or fewer, or throws. */
async function* readOnce(
  source: BlobSource,
  endpoint: BlobEndpoint,
  position: number,
  { signal, timing }: OpenBlobOptions,
): AsyncGenerator<Uint8Array, void> {
  const response = await sendFollowing({
    method: "GET",
    url: endpoint.url,
    headers: {
      ...(endpoint.authorization === undefined ? {} : { Authorization: endpoint.authorization }),
      ...(position === 0 ? {} : { Range: `bytes=${position}-` }),
    },
    tls: endpoint.tls,
    clientAgent: source.clientAgent,
    signal,
    timing,
  });
  const what = `read blob ${source.digest} from ${new URL(endpoint.url).host}`;
  let span: Span;
  try {
    span = await spanOf(response, source, endpoint, position, what);
  } catch (error) {
    await response.discard();
    throw error;
  }
  let at = span.start;
  for await (const piece of response.pieces()) {
    const skipped = Math.max(0, Math.min(piece.length, position - at));
    at += piece.length;
    if (at > span.end) throw wrongLength(what, `more than the ${span.end} bytes that it should have`);
    if (skipped < piece.length) yield piece.subarray(skipped);
  }
  if (at < span.end) throw new ConnectionError("broken", `${what}: the answer ended after ${at} of ${span.end} bytes`);
}

/** A range of the blob's bytes; `end` is not included. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** The range of the blob's bytes that the answer's body has. */
async function spanOf(
  response: HttpResponse,
  { sizeBytes }: BlobSource,
  endpoint: BlobEndpoint,
  position: number,
  what: string,
): Promise<Span> {
  const { status, headers } = response;
  if (status === 416) throw wrongLength(what, `no byte ${position}: it is shorter than ${sizeBytes} bytes`);
  if (status !== 200 && status !== 206) {
    const body = `${await response.readStart(REGISTRY_ERROR_MAX_BYTES)}`;
    throw refusalError({ status, headers, body }, describe("GET", endpoint.url));
  }
  if (contentType(headers) === "text/html") throw new LighterError("invalid", `${what}: it answered with a web page`);
  const span = status === 206 ? parseContentRange(headers, sizeBytes, position, what) : { start: 0, end: sizeBytes };
  const length = headers.get("content-length");
  if (length !== null && span.start + Number(length) !== span.end)
    throw wrongLength(what, `${span.start + Number(length)} bytes in place of ${span.end}`);
  return span;
}

/** Parses Content-Range (RFC 9110 §14.4). A registry may send less than was asked for: the rest is then asked for. */
function parseContentRange(headers: Headers, sizeBytes: number, position: number, what: string): Span {
  const text = headers.get("content-range") ?? "";
  const [, first, last, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(text) ?? [];
  const end = Number(last) + 1;
  const isWithin = Number(first) === position && end > position && end <= sizeBytes;
  if (!isWithin || (total !== "*" && Number(total) !== sizeBytes))
    throw new LighterError(
      "invalid",
      `${what}: asked for bytes from ${position} of ${sizeBytes}, it sends "${text.slice(0, 80)}"`,
    );
  return { start: position, end };
}

function wrongLength(what: string, why: string): LighterError {
  return new LighterError("invalid", `${what}: it has ${why}`);
}
