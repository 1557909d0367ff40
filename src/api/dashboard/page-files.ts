/** The files of the page: one embedded file has them all, compressed. */
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { gunzipSync } from "node:zlib";
import { dashboardPath } from "../../engine/mod.ts";

interface PageFile {
  readonly type: string;
  readonly gzip: Buffer;
}

let files: ReadonlyMap<string, PageFile> | undefined;

function readPageFiles(): ReadonlyMap<string, PageFile> {
  const packed: Record<string, { type: string; gzip: string }> = JSON.parse(readFileSync(dashboardPath, "utf8"));
  return new Map(
    Object.entries(packed).map(([name, { type, gzip }]) => [name, { type, gzip: Buffer.from(gzip, "base64") }]),
  );
}

/** Answers with a file of the page. There are no secrets in any, so who asks does not matter. */
export function sendPage({ method, headers }: IncomingMessage, response: ServerResponse, path: string): void {
  files ??= readPageFiles();
  const file = files.get(path === "/" ? "index.html" : path.slice(1));
  const isRead = method === "GET" || method === "HEAD";
  if (file === undefined || !isRead) {
    response.writeHead(isRead ? 404 : 405, { "Content-Type": "text/plain; charset=utf-8" });
    return void response.end(`nothing is served at ${path} here\n`);
  }
  const isPacked = /\bgzip\b/.test(String(headers["accept-encoding"] ?? ""));
  const body = isPacked ? file.gzip : gunzipSync(file.gzip);
  response.writeHead(200, {
    "Content-Type": file.type,
    "Content-Length": body.length,
    ...(isPacked ? { "Content-Encoding": "gzip" } : {}),
  });
  response.end(method === "HEAD" ? undefined : body);
}
