/**
 * Blobs as streams. A source is plain JSON and all that is needed, so that another process can read what this one has
 * found and been allowed to read.
 *
 *   position 0 ──► GET ──► 200 ──► pieces … broken ──► GET, Range: bytes=N- ──► 206 ──► pieces … end
 *                                                                          └──► 200: the first N bytes are dropped
 */
import { LighterError } from "../../base/errors.ts";
import type { Digest } from "../../base/ids.ts";
import { REGISTRY_ERROR_MAX_BYTES } from "../../base/limits.ts";
import { refusalError } from "./registry-error.ts";
import { Retries, type RetryTiming } from "./retry.ts";
import { ConnectionError, describe, type HttpResponse, sendFollowing, type TlsOptions } from "./transport.ts";

export interface BlobSource {
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Mirrors first. At least one. */
  readonly endpoints: readonly BlobEndpoint[];
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
 * The blob's bytes from `offset` (at most its size) to its end: exactly so many, or an error. Broken connections are
 * taken up again where they broke; the next endpoint follows when one refuses or fails too often. A reader that is slow
 * slows the registry; ending the loop early closes the connection. The digest is the reader's to verify.
 * @throws RegistryError, for which `isUnauthorized` says that a fresh source may help; ConnectionError;
 * LighterError ("invalid") if the registry's blob has another length.
 */
export async function* openBlob(
  source: BlobSource,
  offset: number,
  options: OpenBlobOptions = {},
): AsyncGenerator<Uint8Array, void> {
  let position = offset;
  for (const [index, endpoint] of source.endpoints.entries()) {
    const retries = new Retries(options.timing, options.signal);
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

/** One request: bytes from `position` until the blob's end, or less, or an error. */
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
    signal,
    timing,
  });
  const what = `read blob ${source.digest} from ${new URL(endpoint.url).host}`;
  let first: number;
  try {
    first = await firstByteOf(response, source, endpoint, position, what);
  } catch (error) {
    await response.discard();
    throw error;
  }
  let at = first;
  for await (const piece of response.pieces()) {
    const skipped = Math.max(0, Math.min(piece.length, position - at));
    at += piece.length;
    if (at > source.sizeBytes) throw wrongLength(what, `more than the ${source.sizeBytes} bytes that it should have`);
    if (skipped < piece.length) yield piece.subarray(skipped);
  }
  const expected = first + expectedBytes(response, source.sizeBytes - first);
  if (at < expected) throw new ConnectionError("broken", `${what}: the answer ended after ${at} of ${expected} bytes`);
}

/** Where in the blob the answer's body begins. */
async function firstByteOf(
  response: HttpResponse,
  source: BlobSource,
  endpoint: BlobEndpoint,
  position: number,
  what: string,
): Promise<number> {
  const { status, headers } = response;
  if (status === 416) throw wrongLength(what, `no byte ${position}: it is shorter than ${source.sizeBytes} bytes`);
  if (status !== 200 && status !== 206) {
    const body = `${await response.readStart(REGISTRY_ERROR_MAX_BYTES)}`;
    throw refusalError({ status, headers, body }, describe("GET", endpoint.url));
  }
  if (headers.get("content-type")?.startsWith("text/html") === true)
    throw new LighterError("invalid", `${what}: it answered with a web page`);
  const first = status === 206 ? rangeStart(headers, source.sizeBytes, position, what) : 0;
  const announced = expectedBytes(response, source.sizeBytes - first);
  const isPartial = status === 206 && first + announced <= source.sizeBytes;
  if (!isPartial && first + announced !== source.sizeBytes)
    throw wrongLength(what, `${first + announced} bytes in place of ${source.sizeBytes}`);
  return first;
}

/** Content-Length, or for an answer without one what should come. */
function expectedBytes({ headers }: HttpResponse, fallback: number): number {
  const length = headers.get("content-length");
  return length === null ? fallback : Number(length);
}

function rangeStart(headers: Headers, sizeBytes: number, position: number, what: string): number {
  const text = headers.get("content-range") ?? "";
  const [, first, last, total] = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(text) ?? [];
  const isRight =
    Number(first) === position && Number(last) >= position && (total === "*" || Number(total) === sizeBytes);
  if (!isRight)
    throw new LighterError(
      "invalid",
      `${what}: asked for bytes from ${position} of ${sizeBytes}, it sends "${text.slice(0, 80)}"`,
    );
  return position;
}

function wrongLength(what: string, why: string): LighterError {
  return new LighterError("invalid", `${what}: it has ${why}`);
}
