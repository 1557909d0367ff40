/** How a gRPC call ends: its status, and the form of an error in trailers. Source: grpc/doc/PROTOCOL-HTTP2.md, google/rpc/code.proto. */
import { type ErrorCode, LighterError, messageOf } from "../base/errors.ts";
import { statusType } from "../spec/buildkit.ts";
import type { MessageOf } from "../spec/protobuf.ts";
import type { Header } from "./hpack.ts";

export const [OK, CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, NOT_FOUND, ALREADY_EXISTS, UNIMPLEMENTED, UNAVAILABLE] = [
  0, 1, 2, 4, 5, 6, 12, 14,
];

/** The code of each kind of failure. */
const CODES: Readonly<Partial<Record<ErrorCode, number>>> = {
  invalid: 3,
  "timed-out": DEADLINE_EXCEEDED,
  "not-found": NOT_FOUND,
  forbidden: 7,
  conflict: 9,
  "not-supported": UNIMPLEMENTED,
  internal: 13,
  unavailable: UNAVAILABLE,
  unauthorized: 16,
};

export type Status = MessageOf<typeof statusType>;

/** A call that ended with another status than OK. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  constructor(readonly status: Status) {
    super(status.message);
  }
}

/** The status of anything thrown. */
export function statusOf(error: unknown): Status {
  if (error instanceof GrpcError) return error.status;
  const code = error instanceof LighterError ? (CODES[error.code] ?? UNKNOWN) : UNKNOWN;
  return { code, message: messageOf(error), details: [] };
}

export function formatTrailers(status: Status): Header[] {
  if (status.code === OK) return [["grpc-status", "0"]];
  return [
    ["grpc-status", String(status.code)],
    ["grpc-message", percentEncode(status.message)],
    ...(status.details.length === 0 ? [] : [["grpc-status-details-bin", base64(statusType.encode(status))] as const]),
  ];
}

/** The status that the peer's trailers tell. A call without one has not been answered by gRPC. */
export function parseTrailers(trailers: readonly Header[]): Status {
  const values = new Map(trailers);
  const code = values.get("grpc-status") ?? "";
  if (!/^\d{1,3}$/.test(code)) return { code: UNKNOWN, message: "the peer's answer has no grpc-status", details: [] };
  const plain: Status = { code: Number(code), message: percentDecode(values.get("grpc-message") ?? ""), details: [] };
  const details = values.get("grpc-status-details-bin");
  if (details === undefined) return plain;
  try {
    return { ...plain, details: statusType.decode(Buffer.from(details, "base64")).details };
  } catch {
    return plain; // details are for people
  }
}

/** All bytes that are not printable ASCII, and "%", become %XX. */
function percentEncode(text: string): string {
  return [...Buffer.from(text)]
    .map((byte) =>
      byte < 0x20 || byte > 0x7e || byte === 0x25
        ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
        : String.fromCharCode(byte),
    )
    .join("");
}

function percentDecode(text: string): string {
  return Buffer.from(
    text.replace(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    "latin1",
  ).toString();
}

function base64(value: Uint8Array): string {
  return Buffer.from(value).toString("base64").replace(/=+$/, "");
}
