/** Receives a directory by fsutil's protocol, by which BuildKit's clients send contexts, as a tar. */
import { LighterError } from "../../base/errors.ts";
import { CONTEXT_MAX_ENTRIES } from "../../base/limits.ts";
import { NS_PER_SECOND } from "../../base/time.ts";
import { type ContextMemory, encodeTarHeader, TAR_END, type TarEntry, tarPaddingBytes } from "../../image/mod.ts";
import { type BytePath, PATH_MAX } from "../../linux/sys/fs.ts";
import { type FileStat, PACKET_KINDS, packetType } from "../../spec/buildkit.ts";
import { decodeGoMode } from "../../spec/go-file-mode.ts";

/** Bytes of files that are requested before their turn. They may have to be kept until then. */
const AHEAD_MAX_BYTES = 8 * 1024 * 1024;
const AHEAD_MAX_FILES = 256;
/** The pieces of the tar have at least so much, as far as there is so much at a time. */
const JOINED_BYTES = 32 * 1024;

/**
 * Yields the tar of what the peer sends, without what is known. `packets` come from it, some at a time; `send` sends to it: files are
 * requested one after another, as they are needed.
 * @throws LighterError "invalid" if the peer breaks the protocol, or says that it failed
 */
export async function* receiveTree(
  packets: AsyncIterable<readonly Uint8Array[]>,
  send: (packet: Uint8Array) => void,
  memory?: ContextMemory,
): AsyncGenerator<Uint8Array> {
  const tree = new ReceivedTree(send, memory);
  for await (const batch of packets) {
    for (const bytes of batch) tree.take(bytes);
    yield* joined(tree.takeTar());
    if (tree.hasEnded) break;
  }
  if (!tree.isComplete) throw new LighterError("invalid", "the client has not sent all of its files");
  yield TAR_END;
}

/** Joins small pieces. */
function* joined(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  let [small, length]: [Uint8Array[], number] = [[], 0];
  for (const piece of pieces) {
    small.push(piece);
    length += piece.length;
    if (length < JOINED_BYTES) continue;
    yield small.length === 1 ? piece : Buffer.concat(small);
    [small, length] = [[], 0];
  }
  if (length > 0) yield Buffer.concat(small);
}

/** A file whose bytes were requested. */
interface Transfer {
  /** Bytes that have arrived and are not part of the tar yet. */
  chunks: Uint8Array[];
  missing: number;
  isEnded: boolean;
}

class ReceivedTree {
  readonly #send: (packet: Uint8Array) => void;
  readonly #memory: ContextMemory | undefined;
  /** Whether the client has said nothing yet that it did not say the last time. */
  #isToldAgain: boolean;
  /** The entries that are not in the tar yet, by their number; undefined: it could not be in a tar, or is known. */
  readonly #entries = new Map<number, TarEntry | undefined>();
  readonly #transfers = new Map<number, Transfer>();
  #count = 0;
  /** The number of the next entry of the tar, and whether its header is in the tar. */
  #next = 0;
  #isHeaderOut = false;
  #requestedUpTo = 0;
  #aheadBytes = 0;
  #hasAllStats = false;
  isComplete = false;
  /** Whether the client sends nothing more. */
  hasEnded = false;

  constructor(send: (packet: Uint8Array) => void, memory: ContextMemory | undefined) {
    this.#send = send;
    this.#memory = memory;
    this.#isToldAgain = memory?.known !== undefined;
  }

  take(bytes: Uint8Array): void {
    if (this.hasEnded) return;
    if (this.#isToldAgain && this.#memory!.known!.isToldAgain(bytes)) return;
    const packet = packetType.decode(bytes);
    if (packet.kind === PACKET_KINDS.error)
      throw new LighterError("invalid", `the client could not send its files: ${Buffer.from(packet.data)}`);
    if (packet.kind === PACKET_KINDS.end) this.hasEnded = true;
    else if (packet.kind === PACKET_KINDS.stat) this.#addStat(packet.stat, bytes);
    else if (packet.kind === PACKET_KINDS.data) this.#addData(packet.id, packet.data);
  }

  /** Without a stat: there are no more. */
  #addStat(stat: FileStat | undefined, bytes: Uint8Array): void {
    if (this.#hasAllStats) throw new LighterError("invalid", "the client sends a file after the last one");
    if (stat === undefined) {
      this.#hasAllStats = true;
      if (this.#memory?.known?.hasToldAll !== true) this.#lookAtAll();
      return;
    }
    this.#lookAtAll();
    this.#addEntry(stat, bytes);
  }

  /** Looks at what was told again, as something else has changed. */
  #lookAtAll(): void {
    if (!this.#isToldAgain) return;
    this.#isToldAgain = false;
    for (const bytes of this.#memory!.known!.toldAgain()) this.#addEntry(packetType.decode(bytes).stat!, bytes);
  }

  #addEntry(stat: FileStat, bytes: Uint8Array): void {
    if (this.#count === CONTEXT_MAX_ENTRIES)
      throw new LighterError("invalid", `the build context has more than ${CONTEXT_MAX_ENTRIES} files`);
    const entry = entryOf(stat);
    const isKnown = entry !== undefined && this.#memory?.known?.has(entry) === true;
    this.#entries.set(this.#count++, isKnown ? undefined : entry);
    this.#memory?.told.add(bytes);
  }

  #addData(id: number, data: Uint8Array): void {
    const transfer = this.#transfers.get(id);
    if (transfer === undefined || transfer.isEnded)
      throw new LighterError("invalid", "the client sends a file that was not requested");
    if (data.length > transfer.missing) throw this.#changed(id);
    transfer.missing -= data.length;
    if (data.length > 0) transfer.chunks.push(data);
    else if (transfer.missing > 0) throw this.#changed(id);
    else transfer.isEnded = true;
  }

  #changed(id: number): LighterError {
    const path = Buffer.from(this.#entries.get(id)?.path ?? "", "latin1");
    return new LighterError("invalid", `"${path}" has changed while it was sent`);
  }

  /** Yields the part of the tar that has arrived. */
  *takeTar(): Generator<Uint8Array> {
    if (this.#isToldAgain && !this.#hasAllStats) return;
    this.#request();
    while (this.#next < this.#count) {
      const entry = this.#entries.get(this.#next);
      const transfer = this.#transfers.get(this.#next);
      if (entry !== undefined && !this.#isHeaderOut) yield encodeTarHeader(entry);
      this.#isHeaderOut = true;
      yield* transfer?.chunks.splice(0) ?? [];
      if (transfer?.isEnded === false) return;
      if (entry !== undefined && entry.size > 0) yield new Uint8Array(tarPaddingBytes(entry.size));
      this.#entries.delete(this.#next);
      this.#transfers.delete(this.#next);
      this.#aheadBytes -= transfer === undefined ? 0 : entry!.size;
      this.#next++;
      this.#isHeaderOut = false;
      this.#request();
    }
    if (!this.#hasAllStats || this.isComplete) return;
    this.isComplete = true;
    this.#send(packetType.encode({ kind: PACKET_KINDS.end }));
  }

  #request(): void {
    this.#requestedUpTo = Math.max(this.#requestedUpTo, this.#next);
    for (; this.#requestedUpTo < this.#count; this.#requestedUpTo++) {
      const id = this.#requestedUpTo;
      const size = this.#entries.get(id)?.size ?? 0;
      if (size === 0) continue;
      const isFirst = this.#transfers.size === 0;
      const fits = this.#aheadBytes + size <= AHEAD_MAX_BYTES && this.#transfers.size < AHEAD_MAX_FILES;
      if (!isFirst && !fits) return;
      this.#aheadBytes += size;
      this.#transfers.set(id, { chunks: [], missing: size, isEnded: false });
      this.#send(packetType.encode({ kind: PACKET_KINDS.request, id }));
    }
  }
}

/** The tar's entry of a file; undefined for sockets, which no tar has. @throws LighterError "invalid" */
function entryOf(stat: FileStat): TarEntry | undefined {
  const { size, mtimeNs } = stat;
  const { type: kind, permissions } = decodeGoMode(stat.mode);
  if (kind === undefined) return undefined;
  const nanoseconds = ((mtimeNs % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND;
  const [path, linkPath] = [latin1(stat.path), latin1(stat.linkPath)];
  if (!isBelow(path) || linkPath.includes("\0"))
    throw new LighterError("invalid", `the client sends a file with an invalid path: ${JSON.stringify(shown(path))}`);
  if (size < 0n || size > BigInt(Number.MAX_SAFE_INTEGER))
    throw new LighterError("invalid", `the client sends a file of ${size} bytes`);
  const type = kind === "file" && linkPath !== "" ? "hardlink" : kind;
  return {
    type,
    path: (type === "directory" ? `${path}/` : path) as BytePath,
    linkPath: linkPath as BytePath,
    mode: permissions,
    uid: stat.uid,
    gid: stat.gid,
    size: type === "file" ? Number(size) : 0,
    mtimeSeconds: Number((mtimeNs - nanoseconds) / NS_PER_SECOND),
    mtimeNanoseconds: Number(nanoseconds),
    deviceMajor: Number(stat.deviceMajor),
    deviceMinor: Number(stat.deviceMinor),
    xattrs: [...stat.xattrs].map(([name, value]) => ({ name, value })),
  };
}

/** Whether a path leads from the directory to something in it, and is written in the one way that there is. */
function isBelow(path: string): boolean {
  if (path.length >= PATH_MAX || path.includes("\0")) return false;
  return path.split("/").every((name) => name !== "" && name !== "." && name !== "..");
}

function shown(path: string): string {
  return Buffer.from(path.slice(0, SHOWN_PATH_BYTES), "latin1").toString();
}

const SHOWN_PATH_BYTES = 200;

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
