/** The spooled context that a new one of the same directory begins with: see spool-format.ts. */
import { linkSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { S_IFDIR, S_IFMT, S_IFREG } from "../../linux/sys/fs.ts";
import {
  AT,
  INDEX_HEAD_BYTES,
  INDEX_NAME,
  NONE,
  RECORD_BYTES,
  type Rest,
  SEEN_NAME,
  SHA256_BYTES,
} from "./spool-format.ts";
import type { SpoolNode } from "./write-index.ts";

/** Its entries, which have the numbers of their records as inodes until it is known which of them stay. */
export class SpoolBase {
  readonly path: string;
  readonly root: SpoolNode;
  /** The number that no large file has, nor any higher. */
  readonly largeEnd: number;

  /** `addDigest` returns the number of a digest. Entries of the base have one name each. */
  constructor(path: string, addDigest: (digest: Uint8Array) => number) {
    this.path = path;
    const index = readFileSync(join(path, INDEX_NAME));
    const nodes = Array.from({ length: index.readDoubleLE(0) }, (_, number) => readNode(index, number, addDigest));
    for (const [number, { children }] of nodes.entries()) {
      if (children === undefined) continue;
      const at = INDEX_HEAD_BYTES + number * RECORD_BYTES;
      const first = index.readUInt32LE(at + AT.first);
      for (let child = first; child < first + index.readUInt32LE(at + AT.count); child++)
        children.set(nameOf(index, child), nodes[child]!);
    }
    this.root = nodes[0]!;
    this.largeEnd = nodes.reduce((end, { large }) => (large === NONE ? end : Math.max(end, large + 1)), 0);
  }

  /** Takes out the entries of the base that are not in the directory any more, and gives the large files to the new context. */
  settle(into: string): void {
    const seen = readFileSync(join(into, SEEN_NAME));
    this.#settle(this.root, seen, into);
    this.root.inode = NONE;
  }

  #settle(directory: SpoolNode, seen: Uint8Array, into: string): void {
    for (const [name, node] of directory.children!) {
      const { inode, children } = node;
      if (children !== undefined) this.#settle(node, seen, into);
      node.inode = NONE;
      if (inode === NONE) continue; // it has come now
      if (!isSeen(seen, inode) && !(children !== undefined && children.size > 0)) directory.children!.delete(name);
      else if (node.large !== NONE) linkSync(join(this.path, `${node.large}`), join(into, `${node.large}`));
    }
  }
}

function readNode(index: Buffer, number: number, addDigest: (digest: Uint8Array) => number): SpoolNode {
  const at = INDEX_HEAD_BYTES + number * RECORD_BYTES;
  const mode = index.readUInt32LE(at + AT.mode);
  const kind = mode & S_IFMT;
  const restLength = index.readUInt32LE(at + AT.restLength);
  const restAt = index.readDoubleLE(at + AT.text) + index.readUInt32LE(at + AT.nameLength);
  return {
    mode,
    size: index.readDoubleLE(at + AT.size),
    seconds: index.readDoubleLE(at + AT.seconds),
    nanoseconds: index.readUInt32LE(at + AT.nanoseconds),
    links: 1,
    large: kind === S_IFREG ? index.readUInt32LE(at + AT.first) : NONE,
    start: index.readDoubleLE(at + AT.start),
    digest: kind === S_IFREG ? addDigest(index.subarray(at + AT.digest, at + AT.digest + SHA256_BYTES)) : NONE,
    rest: restLength === 0 ? undefined : (JSON.parse(index.toString("utf8", restAt, restAt + restLength)) as Rest),
    children: kind === S_IFDIR ? new Map() : undefined,
    inode: number,
  };
}

function nameOf(index: Buffer, number: number): string {
  const at = INDEX_HEAD_BYTES + number * RECORD_BYTES;
  const text = index.readDoubleLE(at + AT.text);
  return index.toString("latin1", text, text + index.readUInt32LE(at + AT.nameLength));
}

/** Whether the directory still has the entry of that number. A bit for each, in their order. */
export function isSeen(seen: Uint8Array, number: number): boolean {
  return (seen[number >> 3]! & (1 << (number & 7))) !== 0;
}
