/** The forms of the API's answers: heads, bodies and errors. */
import { type ServerResponse, STATUS_CODES } from "node:http";
import { VERSION } from "../../base/version.ts";
import { answerOf } from "./status.ts";

/** The newest supported version of Docker's API, and the oldest. */
export const API_VERSION = "1.51";
export const MIN_API_VERSION = "1.24";

/** Headers on every answer, as Docker sends them. */
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

/** Sends `json`, which is JSON text already. */
export function sendJsonText(response: ServerResponse, status: number, json: string): void {
  send(response, status, "application/json", `${json}\n`);
}

export function sendText(response: ServerResponse, text: string): void {
  send(response, 200, "text/plain; charset=utf-8", text);
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, { ...COMMON_HEADERS, "Content-Type": type, "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

/** Sends an answer without a body. */
export function sendEmpty(response: ServerResponse, status: 200 | 204 | 304): void {
  response.writeHead(status, status === 200 ? { ...COMMON_HEADERS, "Content-Length": 0 } : COMMON_HEADERS);
  response.end();
}

/** The form of an error. Docker uses "text" where it has taken the connection over before it reads the request. */
export type ErrorForm = "json" | "text";

function describeError(error: unknown, form: ErrorForm): { status: number; type: string; body: string } {
  const { status, message } = answerOf(error);
  if (form === "text") return { status, type: RAW_STREAM, body: `${message}\r\n` };
  return { status, type: "application/json", body: `${JSON.stringify({ message })}\n` };
}

/** Sends an error. If the answer has begun, it is cut off instead, which tells the client. */
export function sendError(response: ServerResponse, error: unknown, form: ErrorForm = "json"): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { status, type, body } = describeError(error, form);
  send(response, status, type, body);
}

/** An error's answer as text, for a connection that node:http has released. */
export function formatRawError(error: unknown, form: ErrorForm): string {
  const { status, type, body } = describeError(error, form);
  return formatRawAnswer(status, type, body);
}

/** A whole answer as text, for a connection that node:http has released. */
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
