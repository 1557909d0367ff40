/** Fetches what a URL names, for ADD and for `remote` of a build. */
import { STATUS_CODES } from "node:http";
import { join } from "node:path";
import { LighterError } from "../../base/errors.ts";
import type { HttpSource } from "../../build/mod.ts";
import { type FileWorkers, runWithInput } from "../../files/mod.ts";
import { type HttpResponse, sendFollowing } from "../../image/mod.ts";
import { writeDownloadJob } from "./build-jobs.ts";

const SHOWN_BODY_BYTES = 1024;

/** Sends a GET and follows redirects. @throws LighterError with Docker's words for an answer that is none */
export async function get(url: string, signal: AbortSignal): Promise<HttpResponse> {
  const response = await sendFollowing({ method: "GET", url: withoutFragment(url), signal });
  const { status } = response;
  if (status < 400) return response;
  const body = (await response.readStart(SHOWN_BODY_BYTES)).toString("utf8").trim();
  const text = `failed to GET ${url} with status ${status} ${STATUS_CODES[status] ?? ""}: ${body}`;
  throw new LighterError(status === 404 ? "not-found" : "invalid", text);
}

function withoutFragment(url: string): string {
  return url.replace(/#.*$/s, "");
}

/** Downloads a file into a directory. Resolves with its digest. @throws LighterError if it is not the one that was meant */
export async function download(
  { url, fileName, checksum }: HttpSource,
  directory: string,
  { workers, signal }: { workers: FileWorkers; signal: AbortSignal },
): Promise<string> {
  const response = await get(url, signal);
  const modifiedMs = Date.parse(response.headers.get("last-modified") ?? "");
  const argument = {
    path: join(directory, fileName),
    modifiedSeconds: Number.isNaN(modifiedMs) ? 0 : Math.floor(modifiedMs / 1000),
  };
  const digest = await runWithInput(workers, writeDownloadJob, argument, {}, response.pieces());
  if (checksum === "" || checksum === digest) return digest;
  throw new LighterError("invalid", `digest mismatch ${digest}: ${checksum}`);
}
