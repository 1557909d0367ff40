/** A build's operations, marshalled as BuildKit's LLB. Source: moby/buildkit solver/pb/ops.proto (field numbers). */
import { createHash } from "node:crypto";
import type { SourceRange } from "../dockerfile/types.ts";

/** The number of each field is LLB's; a digest of the bytes names the operation. */
export type Op =
  | { kind: "image"; reference: string }
  | { kind: "local"; name: string }
  | { kind: "exec"; args: readonly string[]; env: readonly string[]; cwd: string; user: string; network: Network }
  | {
      kind: "copy";
      sources: readonly string[];
      destination: string;
      owner: string | undefined;
      unpack: boolean;
    }
  | { kind: "mkdir"; path: string };

export type Network = "default" | "host" | "none";

/** An operation with the vertices that it works on: the root file system first, then what is copied from. */
export interface Vertex {
  op: Op;
  inputs: readonly Vertex[];
  /** For people. */
  name: string;
  /** Where it is written in the Dockerfile. */
  range?: SourceRange;
}

const [VARINT, BYTES] = [0, 2];
const NETWORKS: readonly Network[] = ["default", "host", "none"];
const DIRECTORY_MODE = 0o755;
const UNCHANGED = -1n;

/** Bytes of a protobuf message, field by field. What has its default value is left out, as in proto3. */
class Message {
  readonly #parts: Uint8Array[] = [];

  number(field: number, value: number | bigint | boolean): this {
    const bits = BigInt.asUintN(64, BigInt(value));
    if (bits !== 0n) this.#parts.push(varint(BigInt((field << 3) | VARINT)), varint(bits));
    return this;
  }

  text(field: number, value: string): this {
    return value === "" ? this : this.bytes(field, Buffer.from(value));
  }

  texts(field: number, values: readonly string[]): this {
    for (const value of values) this.bytes(field, Buffer.from(value));
    return this;
  }

  message(field: number, value: Message): this {
    return this.bytes(field, value.encode());
  }

  bytes(field: number, value: Uint8Array): this {
    this.#parts.push(varint(BigInt((field << 3) | BYTES)), varint(BigInt(value.length)), value);
    return this;
  }

  encode(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  for (; left > 0x7fn; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  bytes.push(Number(left));
  return Uint8Array.from(bytes);
}

/** The marshalled operation. `inputs`: digests of what it works on; "" is an empty root file system. */
export function encodeOp(op: Op, inputs: readonly string[]): Buffer {
  const message = new Message();
  const present = inputs.filter((digest) => digest !== "");
  for (const digest of present) message.message(1, new Message().text(1, digest));
  const input = (index: number): bigint => BigInt(inputs[index] === "" ? -1 : present.indexOf(inputs[index]!));
  if (op.kind === "exec") message.message(2, execOp(op, input(0)));
  else if (op.kind === "image") message.message(3, new Message().text(1, `docker-image://${op.reference}`));
  else if (op.kind === "local") message.message(3, new Message().text(1, `local://${op.name}`));
  else message.message(4, new Message().message(2, fileAction(op, input)));
  return message.encode();
}

function execOp({ args, env, cwd, user, network }: Extract<Op, { kind: "exec" }>, root: bigint): Message {
  const meta = new Message().texts(1, args).texts(2, env).text(3, cwd).text(4, user);
  const mount = new Message().number(1, root).text(3, "/");
  return new Message().message(1, meta).message(2, mount).number(3, NETWORKS.indexOf(network));
}

function fileAction(op: Extract<Op, { kind: "copy" | "mkdir" }>, input: (index: number) => bigint): Message {
  const action = new Message().number(1, input(0));
  if (op.kind === "mkdir") {
    const mkdir = new Message().text(1, op.path).number(2, DIRECTORY_MODE).number(3, true).number(5, UNCHANGED);
    return action.number(2, UNCHANGED).message(6, mkdir);
  }
  const copy = new Message().texts(1, op.sources).text(2, op.destination);
  if (op.owner !== undefined) copy.message(3, chown(op.owner));
  copy.number(4, UNCHANGED).number(5, true).number(6, true).number(7, op.unpack);
  return action.number(2, input(1)).message(4, copy.number(8, true).number(9, true).number(11, UNCHANGED));
}

/** "USER:GROUP", names or numbers. */
function chown(owner: string): Message {
  const message = new Message();
  for (const [index, part] of owner.split(":").entries())
    if (part !== "")
      message.message(
        index + 1,
        /^\d+$/.test(part)
          ? new Message().number(2, BigInt(part))
          : new Message().message(1, new Message().text(1, part)),
      );
  return message;
}

export function digestOfOp(op: Op, inputs: readonly string[]): string {
  return `sha256:${createHash("sha256").update(encodeOp(op, inputs)).digest("hex")}`;
}

const digests = new WeakMap<Vertex, string>();

/** The digest of a vertex: of its operation over its inputs' digests. */
export function digestOfVertex(vertex: Vertex): string {
  const known = digests.get(vertex);
  if (known !== undefined) return known;
  const digest = digestOfOp(vertex.op, vertex.inputs.map(digestOfVertex));
  digests.set(vertex, digest);
  return digest;
}
