/** Downloads the tar of an import. */
import { LighterError } from "../../base/errors.ts";
import { DOWNLOAD_ERROR_MAX_BYTES } from "../../base/limits.ts";
import { connectionError } from "../../engine/mod.ts";
import { closedSignal } from "../containers/containers.ts";
import type { AnswerCall } from "../http/router.ts";

const PROGRESS_INTERVAL_MS = 100;

/**
 * Downloads a URL ("host/path" means http), with progress messages. The download ends when the client goes away.
 * @throws LighterError "unavailable" if there is no connection; with the server's words if the server refuses
 */
export async function downloadTar(
  call: AnswerCall,
  source: string,
  send: (message: object) => void,
): Promise<AsyncIterable<Uint8Array>> {
  const url = source.includes("://") ? source : `http://${source}`;
  const answer = await request(url, closedSignal(call));
  if (!answer.ok) {
    const reason = `status ${answer.status} ${answer.statusText}: ${await readStart(answer)}`;
    throw new LighterError(answer.status === 404 ? "not-found" : "unavailable", `failed to GET ${url} with ${reason}`);
  }
  send({ status: `Downloading from ${url}` });
  return withProgress(answer, send);
}

async function request(url: string, signal: AbortSignal): Promise<Response> {
  const scheme = url.slice(0, url.indexOf("://"));
  if (!/^https?$/i.test(scheme))
    throw new LighterError("invalid", `Get "${url}": unsupported protocol scheme "${scheme}"`);
  if (!URL.canParse(url)) throw new LighterError("invalid", `"${url}" is no URL`);
  try {
    // No encoding is requested, because the import undoes the tar's own compression.
    return await fetch(url, { signal, headers: { "Accept-Encoding": "identity" } });
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw connectionError(cause, "GET", url);
  }
}

async function readStart(answer: Response): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length >= DOWNLOAD_ERROR_MAX_BYTES) break;
  }
  return text.slice(0, DOWNLOAD_ERROR_MAX_BYTES);
}

async function* withProgress(answer: Response, send: (message: object) => void): AsyncGenerator<Uint8Array> {
  const total = Number(answer.headers.get("content-length") ?? 0);
  let current = 0;
  let lastMs = 0;
  for await (const chunk of answer.body ?? []) {
    current += chunk.length;
    const now = Date.now();
    if (now - lastMs >= PROGRESS_INTERVAL_MS || current === total) {
      lastMs = now;
      send({ status: "Importing", progressDetail: { current, ...(total > 0 ? { total } : {}) } });
    }
    yield chunk;
  }
}
