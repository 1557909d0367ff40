/**
 * Completes requests for streams so that node:http releases the connection.
 *
 * node:http releases it only for a request with both `Connection: Upgrade` and `Upgrade`. Docker's daemon takes a connection over
 * for any request that asks for a stream, so such a request gets the headers that it lacks.
 */
import type { Socket } from "node:net";
import { API_HEAD_MAX_BYTES } from "../../base/limits.ts";

const METHOD = Buffer.from("POST ");

/** Whether more of the head must arrive before `asUpgrade` can decide. */
export function isIncomplete(first: Buffer): boolean {
  if (first.length >= API_HEAD_MAX_BYTES) return false; // it will be refused
  return METHOD.subarray(0, first.length).equals(first.subarray(0, METHOD.length)) && !first.includes("\r\n\r\n");
}

interface CompletedRequest {
  bytes: Buffer;
  /** Whether the request asks for a stream without mentioning an upgrade; then its answer does not mention one either. */
  isPlain: boolean;
}

/** What a POST to a URL gets: a stream in any case, or another protocol if it asks for that. */
type Offer = "stream" | "upgrade" | undefined;

/** A request with the headers of an upgrade. */
export function asUpgrade(first: Buffer, offerOf: (url: string) => Offer): CompletedRequest {
  const asItIs = { bytes: first, isPlain: false };
  const headEnd = first.indexOf("\r\n\r\n");
  const [line = "", ...headers] = first.toString("latin1", 0, Math.max(headEnd, 0)).split("\r\n");
  const [, url] = /^POST (\/\S*) HTTP\/1\.[01]$/.exec(line) ?? [];
  const offer = url === undefined ? undefined : offerOf(url);
  const isPlain = !headers.some((header) => /^upgrade:/i.test(header));
  if (offer === undefined || (offer === "upgrade" && isPlain)) return asItIs;
  if (!isPlain && headers.some((header) => /^connection:.*\bupgrade\b/i.test(header))) return asItIs;
  const others = headers.filter((header) => !/^connection:/i.test(header));
  const lines = [line, "Connection: Upgrade", ...(isPlain ? ["Upgrade: tcp"] : []), ...others];
  return { bytes: Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), first.subarray(headEnd)]), isPlain };
}

interface Rewriting {
  /** Tells whether the bytes that come next begin a request. */
  isIdle: () => boolean;
  /** Called while the head of a POST is incomplete. */
  onIncomplete: () => void;
  rewrite: (request: Buffer) => Buffer;
}

/**
 * Puts `rewrite` before node:http's own reader of a connection that it serves, for each request that begins with new bytes: one
 * that a client has sent before the answer to another is left alone. Returns what ends this, which must be called when the
 * connection is taken over.
 */
export function rewriteRequests(socket: Socket, { isIdle, onIncomplete, rewrite }: Rewriting): () => void {
  const readers = socket.listeners("data") as ((bytes: Buffer) => void)[];
  let head: Buffer | undefined;
  const onData = (chunk: Buffer) => {
    let bytes = chunk;
    if (head !== undefined || isIdle()) {
      head = head === undefined ? chunk : Buffer.concat([head, chunk]);
      if (isIncomplete(head)) return void onIncomplete();
      bytes = rewrite(head);
      head = undefined;
    }
    for (const reader of readers) reader.call(socket, bytes);
  };
  socket.removeAllListeners("data").on("data", onData);
  return () => socket.off("data", onData);
}
