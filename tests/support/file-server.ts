/**
 * Serves a directory by http in a network namespace, as a process of its own. "/status/NNN" answers with that status, "/to/PATH" with a
 * redirect to "/PATH", "/count" with how many files were sent, and how many were not since the client had them.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { NetworkNamespace } from "./network-namespace.ts";

interface FileServer extends AsyncDisposable {
  url: string;
}

export async function startFileServer(network: NetworkNamespace, directory: string): Promise<FileServer> {
  const [command = "", ...args] = network.inside(process.execPath, import.meta.path, directory);
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  const [port] = await Promise.race([once(child.stdout, "data"), once(child, "close")]);
  return {
    url: `http://127.0.0.1:${Number(port)}`,
    [Symbol.asyncDispose]: async () => {
      const closed = once(child, "close");
      child.kill("SIGKILL");
      await closed;
    },
  };
}

const count = { sent: 0, unchanged: 0 };

function answer(directory: string, { url = "", headers }: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(url, "http://here");
  const [, status] = /^\/status\/(\d+)$/.exec(pathname) ?? [];
  const [, target] = /^\/to(\/.*)$/.exec(pathname) ?? [];
  if (status !== undefined) response.writeHead(Number(status)).end(`this is ${status}\n`);
  else if (target !== undefined) response.writeHead(302, { Location: target }).end();
  else if (pathname === "/count") response.end(JSON.stringify(count));
  else {
    try {
      const path = join(directory, pathname);
      const content = readFileSync(path);
      const etag = `"${createHash("sha256").update(content).digest("hex")}"`;
      const isUnchanged = headers["if-none-match"] === etag;
      count[isUnchanged ? "unchanged" : "sent"]++;
      if (isUnchanged) response.writeHead(304).end();
      else response.writeHead(200, { "Last-Modified": statSync(path).mtime.toUTCString(), ETag: etag }).end(content);
    } catch {
      response.writeHead(404).end("nothing\n");
    }
  }
}

if (import.meta.main) {
  const [, , directory = ""] = process.argv;
  const server = createServer((request, response) => answer(directory, request, response));
  server.listen(0, "127.0.0.1", () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
  process.stdin.resume().on("end", () => process.exit()); // whoever started it has ended
}
