/** Fetches what a URL names, for ADD and for `remote` of a build. */
import { STATUS_CODES } from "node:http";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import type { HttpSource } from "../../build/mod.ts";
import { type FileWorkers, runWithInput } from "../../files/mod.ts";
import { type HttpResponse, sendFollowing } from "../../image/mod.ts";
import { writeDownloadJob } from "../build/build-jobs.ts";
import type { DownloadRow, DownloadTable } from "./download-table.ts";

const SHOWN_BODY_BYTES = 1024;
/** A time of seconds tells versions apart only if the answer is this much younger. Source: RFC 9110, 8.8.2.2. */
const MODIFIED_BEFORE_MS = 60_000;

export interface Downloads {
  table: DownloadTable;
  /** The bytes of one file. */
  maxBytes: number;
}

interface GetOptions {
  signal: AbortSignal;
  maxBytes: number;
  headers?: Record<string, string>;
}

/** An answer whose body is read up to a limit. */
interface Fetched {
  response: HttpResponse;
  /** @throws LighterError "invalid" beyond the limit */
  pieces: () => AsyncGenerator<Uint8Array>;
}

/** Sends a GET and follows redirects. @throws LighterError with Docker's words for an answer that is none */
export async function get(url: string, { signal, maxBytes, headers = {} }: GetOptions): Promise<Fetched> {
  const response = await sendFollowing({ method: "GET", url: withoutFragment(url), headers, signal });
  const { status } = response;
  if (status < 400) return { response, pieces: () => upTo(maxBytes, response, url) };
  const body = (await response.readStart(SHOWN_BODY_BYTES)).toString("utf8").trim();
  const text = `failed to GET ${url} with status ${status} ${STATUS_CODES[status] ?? ""}: ${body}`;
  throw new LighterError(status === 404 ? "not-found" : "invalid", text);
}

async function* upTo(maxBytes: number, response: HttpResponse, url: string): AsyncGenerator<Uint8Array> {
  const announced = Number(response.headers.get("content-length") ?? 0);
  let length = 0;
  if (announced > maxBytes) await response.discard();
  else
    for await (const piece of response.pieces()) {
      length += piece.length;
      if (length > maxBytes) break;
      yield piece;
    }
  if (Math.max(announced, length) > maxBytes)
    throw new LighterError("invalid", `${url} has more than ${maxBytes} bytes, the limit of a build's downloads`, {
      hint: "raise the daemon's build-download-max",
    });
}

function withoutFragment(url: string): string {
  return url.replace(/#.*$/s, "");
}

interface DownloadOptions extends Downloads {
  workers: FileWorkers;
  signal: AbortSignal;
}

/**
 * Finds out what a URL leads to. Resolves with its digest and, unless the server says that it is what an earlier build had, with the
 * directory that it was written into.
 * @throws LighterError if it is not what was meant
 */
export async function visit(
  source: HttpSource,
  newDirectory: () => string,
  options: DownloadOptions,
): Promise<{ digest: string; directory?: string }> {
  const { signal, maxBytes, table } = options;
  const known = table.find(source.url);
  const headers = known === undefined ? {} : conditionsOf(known);
  const fetched = await get(source.url, { signal, maxBytes, headers });
  if (known !== undefined && fetched.response.status === 304) {
    await fetched.response.discard();
    checkDigest(source, known.digest);
    table.note(source.url, known);
    return { digest: known.digest };
  }
  const directory = newDirectory();
  return { digest: await write(source, fetched, directory, options), directory };
}

/** Fetches a file again of which only the digest is known. */
export async function download(
  source: HttpSource,
  digest: string,
  directory: string,
  options: DownloadOptions,
): Promise<void> {
  const written = await write(source, await get(source.url, options), directory, options);
  if (written === digest) return;
  throw new LighterError("invalid", `${source.url} has changed during the build: build anew`);
}

async function write(
  source: HttpSource,
  { response, pieces }: Fetched,
  directory: string,
  { workers, table }: DownloadOptions,
): Promise<string> {
  const modifiedMs = Date.parse(response.headers.get("last-modified") ?? "");
  const argument = {
    path: join(directory, source.fileName),
    modifiedSeconds: Number.isNaN(modifiedMs) ? 0 : Math.floor(modifiedMs / 1000),
  };
  const digest = await runWithInput(workers, writeDownloadJob, argument, {}, pieces());
  checkDigest(source, digest);
  table.note(source.url, { ...validatorsOf(response), digest });
  return digest;
}

function checkDigest({ checksum }: HttpSource, digest: string): void {
  if (checksum !== "" && checksum !== digest)
    throw new LighterError("invalid", `digest mismatch ${digest}: ${checksum}`);
}

/** What the server may be asked with later. A weak tag does not say that the bytes are the same. */
function validatorsOf({ headers }: HttpResponse): Omit<DownloadRow, "digest"> {
  const [etag, modified, date] = ["etag", "last-modified", "date"].map((name) => headers.get(name) ?? "");
  const isOldEnough = Date.parse(date!) - Date.parse(modified!) >= MODIFIED_BEFORE_MS; // false for what is no time
  return { etag: /^"[^"]*"$/.test(etag!) ? etag! : "", modified: isOldEnough ? modified! : "" };
}

function conditionsOf({ etag, modified }: DownloadRow): Record<string, string> {
  if (etag !== "") return { "If-None-Match": etag };
  return modified === "" ? {} : { "If-Modified-Since": modified };
}
