/** Writes the index of a spooled context: see spool-format.ts. */
import { closeSync, openSync, writeSync } from "node:fs";
import { writeFailure } from "../store/write-failure.ts";
import { AT, INDEX_HEAD_BYTES, NONE, RECORD_BYTES, type Rest } from "./spool-format.ts";

/** A file, a directory or anything else; under all of its names. */
export interface SpoolNode {
  mode: number;
  size: number;
  seconds: number;
  nanoseconds: number;
  links: number;
  /** The number of its large file, or NONE. */
  large: number;
  /** Where a small file begins in `small`. */
  start: number;
  /** The number of a file's digest, or NONE. */
  digest: number;
  rest: Rest | undefined;
  children: Map<string, SpoolNode> | undefined;
  /** Its number, which the index gives it. */
  inode: number;
}

const INDEX_BUFFER_BYTES = 1024 * 1024;

export function writeIndex(path: string, root: SpoolNode, digests: { at(number: number): Uint8Array }): void {
  const names = [""];
  const nodes = [root];
  const firsts: number[] = [];
  for (let at = 0; at < nodes.length; at++) {
    firsts.push(nodes.length);
    const { children } = nodes[at]!;
    if (children === undefined) continue;
    for (const name of [...children.keys()].sort()) {
      names.push(name);
      nodes.push(children.get(name)!);
    }
  }
  const fd = openSync(path, "wx", 0o600);
  try {
    const textAt = INDEX_HEAD_BYTES + nodes.length * RECORD_BYTES;
    const records = new Piece(fd, 0);
    const texts = new Piece(fd, textAt);
    records.room(INDEX_HEAD_BYTES).writeDoubleLE(nodes.length);
    for (const [at, node] of nodes.entries()) {
      const rest = node.rest === undefined ? "" : JSON.stringify(node.rest);
      const name = names[at]!;
      const textPosition = texts.position;
      const restLength = Buffer.byteLength(rest);
      const text = texts.room(name.length + restLength);
      text.write(name, 0, "latin1");
      text.write(rest, name.length);
      if (node.inode === NONE) node.inode = at;
      const place = { nameLength: name.length, restLength, textPosition, first: firsts[at]! };
      const record = records.room(RECORD_BYTES);
      writeRecord(record, node, place);
      if (node.digest !== NONE) record.set(digests.at(node.digest), AT.digest);
    }
    records.flush();
    texts.flush();
  } catch (error) {
    throw writeFailure("the build's context", error);
  } finally {
    closeSync(fd);
  }
}

interface Place {
  nameLength: number;
  restLength: number;
  textPosition: number;
  first: number;
}

function writeRecord(record: Buffer, node: SpoolNode, { nameLength, restLength, textPosition, first }: Place): void {
  record.writeUInt32LE(node.mode, AT.mode);
  record.writeUInt32LE(node.inode, AT.inode);
  record.writeUInt32LE(node.links, AT.links);
  record.writeUInt32LE(node.nanoseconds, AT.nanoseconds);
  record.writeDoubleLE(node.seconds, AT.seconds);
  record.writeDoubleLE(node.size, AT.size);
  record.writeUInt32LE(node.children === undefined ? node.large : first, AT.first);
  record.writeUInt32LE(node.children?.size ?? 0, AT.count);
  record.writeUInt32LE(nameLength, AT.nameLength);
  record.writeUInt32LE(restLength, AT.restLength);
  record.writeDoubleLE(textPosition, AT.text);
  record.writeDoubleLE(node.start, AT.start);
  record.fill(0, AT.digest);
}

/** A part of a file that grows. */
class Piece {
  readonly #fd: number;
  #position: number;
  #buffer = Buffer.allocUnsafeSlow(INDEX_BUFFER_BYTES);
  #length = 0;

  constructor(fd: number, position: number) {
    this.#fd = fd;
    this.#position = position;
  }

  get position(): number {
    return this.#position + this.#length;
  }

  /** Room for what comes next. It is valid until the next call. */
  room(byteCount: number): Buffer {
    if (this.#length + byteCount > this.#buffer.length) this.flush();
    if (byteCount > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(byteCount);
    this.#length += byteCount;
    return this.#buffer.subarray(this.#length - byteCount, this.#length);
  }

  flush(): void {
    for (let at = 0; at < this.#length; )
      at += writeSync(this.#fd, this.#buffer, at, this.#length - at, this.#position + at);
    this.#position += this.#length;
    this.#length = 0;
  }
}
