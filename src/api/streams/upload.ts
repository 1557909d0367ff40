/**
 * Uploads that do not pass this process: if the first request of a connection by a unix socket is an upload, the connection goes
 * to the worker that needs the body. Only the plainest requests are treated so; node:http gets all others.
 */
import { closeSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { HIJACK_LINGER_MS } from "../../base/limits.ts";
import { log } from "../../base/log.ts";
import { type BodyForm, createMemfd, duplicateFd, idleSocketFd, type RawBody } from "../../engine/mod.ts";
import { FILES_HEADER } from "../../spec/file-range.ts";
import type { Daemon } from "../daemon/daemon-state.ts";
import { formatRawAnswer } from "../http/protocol.ts";
import type { Match, Upload } from "../http/router.ts";
import { answerOf } from "../http/status.ts";

/** A request's head: its length, what it asks for, and how its body ends. */
interface Head {
  endsAt: number;
  method: string;
  url: string;
  form: BodyForm;
}

/** Parses the head; undefined unless it is the complete head of a PUT or POST whose body has an end. */
export function parseUploadHead(first: Buffer): Head | undefined {
  const end = first.indexOf("\r\n\r\n");
  const [line = "", ...headers] = first.toString("latin1", 0, Math.max(end, 0)).split("\r\n");
  const [, method, url] = /^(PUT|POST) (\/\S*) HTTP\/1\.1$/.exec(line) ?? [];
  if (method === undefined || url === undefined || headers.some((header) => /^(upgrade|connection):/i.test(header)))
    return undefined;
  // "Expect" is for those who do not know what the offer means.
  const offersFiles = headers.includes(`${FILES_HEADER}: 1`);
  if (!offersFiles && headers.some((header) => /^expect:/i.test(header))) return undefined;
  const framing = headers.filter((header) => /^(transfer-encoding|content-length)\s*:/i.test(header));
  const [, length] = /^content-length: ?(\d{1,15})$/i.exec(framing[0] ?? "") ?? [];
  const isChunked = /^transfer-encoding: ?chunked$/i.test(framing[0] ?? "");
  if (framing.length !== 1 || (length === undefined && !isChunked) || (offersFiles && !isChunked)) return undefined;
  const form = length !== undefined ? { bytes: Number(length) } : offersFiles ? "files" : "chunks";
  return { endsAt: end + 4, method, url, form };
}

/**
 * Takes the connection over if possible: then `socket` is destroyed, as only the worker may read from the connection. `find`
 * returns the route of a request.
 */
export function takeUpload(
  daemon: Daemon,
  socket: Socket,
  first: Buffer,
  find: (method: string, url: string) => Match | undefined,
): boolean {
  if (first[0] !== 0x50) return false; // "P"
  if (socket.remoteAddress !== undefined || "encrypted" in socket) return false;
  const head = parseUploadHead(first);
  const match = head && find(head.method, head.url);
  const upload = match?.route.upload?.({ ...match.call, daemon });
  const fd = upload && idleSocketFd(socket);
  if (fd === undefined || head === undefined || upload === undefined) return false;
  const body = rawBody(fd, head.form, first.subarray(head.endsAt));
  if (body === undefined) return false;
  socket.destroy();
  log.debug(`Calling ${head.method} ${head.url.split("?", 1)[0]}`);
  const startMs = performance.now();
  void answer(upload, body).then((code) => {
    const { method, path } = match!.route;
    daemon.metrics.observe({ method, path, code, seconds: (performance.now() - startMs) / 1000 });
  });
  return true;
}

/** The request's body with its connection; undefined if no descriptors are left. */
export function rawBody(socketFd: number, form: BodyForm, first: Uint8Array): RawBody | undefined {
  let fd = -1;
  try {
    fd = duplicateFd(socketFd, 3);
    return { fd, form, firstFd: createMemfd("body", first) };
  } catch {
    if (fd >= 0) closeSync(fd);
    return undefined;
  }
}

/** Resolves with the answer's status. */
async function answer(upload: Upload, body: RawBody): Promise<number> {
  let text: string;
  let code = 200;
  try {
    const answered = await upload(body);
    text = formatRawAnswer(200, answered.contentType, answered.text);
  } catch (error) {
    const { status, message } = answerOf(error);
    code = status;
    text = formatRawAnswer(status, "application/json", `${JSON.stringify({ message })}\n`);
  } finally {
    closeSync(body.firstFd);
  }
  sendLast(body.fd, text);
  return code;
}

/**
 * Sends the answer, then reads for a while what the client still sends: a client whose bytes are refused would not see the
 * answer.
 */
function sendLast(fd: number, text: string): void {
  const socket = connect({ fd, allowHalfOpen: true } as Parameters<typeof connect>[0] & object) as Socket;
  const timer = setTimeout(() => socket.destroy(), HIJACK_LINGER_MS);
  socket.on("error", () => socket.destroy());
  socket.once("close", () => clearTimeout(timer));
  socket.once("end", () => socket.destroySoon());
  socket.end(text);
  socket.resume();
}
