import { type ServerResponse, STATUS_CODES } from "node:http";
import { VERSION } from "../base/version.ts";
import { answerOf } from "./status.ts";

/** The newest version of Docker's API that is spoken, and the oldest. */
export const API_VERSION = "1.51";
export const MIN_API_VERSION = "1.24";

/** On every answer, as Docker's. */
export const COMMON_HEADERS: Readonly<Record<string, string>> = {
  "Api-Version": API_VERSION,
  "Docker-Experimental": "false",
  Ostype: "linux",
  Server: `Lighter/${VERSION} (linux)`,
};

export const RAW_STREAM = "application/vnd.docker.raw-stream";
export const MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream";

export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  sendJsonText(response, status, JSON.stringify(value));
}

/** `json` is JSON already. */
export function sendJsonText(response: ServerResponse, status: number, json: string): void {
  const body = `${json}\n`;
  response.writeHead(status, {
    ...COMMON_HEADERS,
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
  });
  response.end(body);
}

export function sendText(response: ServerResponse, text: string): void {
  response.writeHead(200, {
    ...COMMON_HEADERS,
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
  });
  response.end(text);
}

/** An answer without a body. */
export function sendEmpty(response: ServerResponse, status: 200 | 204 | 304): void {
  response.writeHead(status, status === 200 ? { ...COMMON_HEADERS, "Content-Length": 0 } : COMMON_HEADERS);
  response.end();
}

/** Nothing to say about an answer that has begun: cutting it off is what tells the client. */
export function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, message } = answerOf(error);
  sendJson(response, status, { message });
}

/** A whole answer for a connection that node:http has let go of. */
export function formatRawAnswer(status: number, contentType: string, body: string): string {
  const headers = {
    ...COMMON_HEADERS,
    "Content-Type": contentType,
    "Content-Length": String(Buffer.byteLength(body)),
    Connection: "close",
  };
  return `${formatHead(status, STATUS_CODES[status] ?? "", headers)}${body}`;
}

export function formatHead(status: number, reason: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${reason}\r\n${lines.join("")}\r\n`;
}
