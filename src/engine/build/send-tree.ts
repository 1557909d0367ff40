/** Sends the files of a tar by fsutil's protocol, by which BuildKit's clients receive directories. */
import { LighterError } from "../../base/errors.ts";
import { NS_PER_SECOND } from "../../base/time.ts";
import { type TarEntry, TarReader } from "../../image/mod.ts";
import { PACKET_KINDS, packetType } from "../../spec/buildkit.ts";
import { encodeGoMode } from "../../spec/go-file-mode.ts";

/** Bytes in one packet. */
const DATA_MAX_BYTES = 32 * 1024;

/**
 * Yields the packets to send. The tar has parents before what is in them, and names in the order of their bytes, as the receiver wants
 * them. `packets` come from the receiver, which asks for each file: its bytes are sent then, and not before.
 * @throws LighterError "invalid" if the receiver breaks the protocol, or says that it failed
 */
export async function* sendTree(
  tar: AsyncIterable<Uint8Array>,
  packets: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const receiver = new Receiver(packets);
  let [count, id] = [0, 0];
  for await (const part of partsOf(tar)) {
    if (part.kind === "entry") {
      id = count++;
      yield packetType.encode({ kind: PACKET_KINDS.stat, stat: statOf(part.entry) });
      if (part.entry.size > 0) await receiver.wants(id);
    } else {
      for (let at = 0; at < part.bytes.length; at += DATA_MAX_BYTES) {
        const data = part.bytes.subarray(at, at + DATA_MAX_BYTES);
        yield packetType.encode({ kind: PACKET_KINDS.data, id, data });
      }
      if (part.isLast) yield packetType.encode({ kind: PACKET_KINDS.data, id });
    }
  }
  yield packetType.encode({ kind: PACKET_KINDS.stat });
  // Some receivers ask for empty files, too.
  for await (const empty of receiver.rest()) yield packetType.encode({ kind: PACKET_KINDS.data, id: empty });
  yield packetType.encode({ kind: PACKET_KINDS.end });
}

/** What the receiver says: which files it wants, by their numbers, and that it has all. */
class Receiver {
  readonly #packets: AsyncIterator<Uint8Array>;
  readonly #wanted = new Set<number>();

  constructor(packets: AsyncIterator<Uint8Array>) {
    this.#packets = packets;
  }

  async wants(id: number): Promise<void> {
    while (!this.#wanted.delete(id)) {
      const packet = await this.#next();
      if (packet.kind === PACKET_KINDS.request) this.#wanted.add(packet.id);
      else if (packet.kind === PACKET_KINDS.end)
        throw new LighterError("invalid", "the client does not take all files");
    }
  }

  /** Yields what else is wanted, until the receiver has all. */
  async *rest(): AsyncGenerator<number> {
    yield* this.#wanted;
    for (let packet = await this.#next(); packet.kind !== PACKET_KINDS.end; packet = await this.#next())
      if (packet.kind === PACKET_KINDS.request) yield packet.id;
  }

  async #next() {
    const { done, value } = await this.#packets.next();
    if (done === true) throw new LighterError("invalid", "the client has stopped receiving files");
    const packet = packetType.decode(value);
    if (packet.kind === PACKET_KINDS.error)
      throw new LighterError("invalid", `the client could not write the files: ${Buffer.from(packet.data)}`);
    return packet;
  }
}

type Part = { kind: "entry"; entry: TarEntry } | { kind: "bytes"; bytes: Uint8Array; isLast: boolean };

/** Yields the entries of a tar, each file's bytes after it. */
async function* partsOf(tar: AsyncIterable<Uint8Array>): AsyncGenerator<Part> {
  const parts: Part[] = [];
  let hasBytes = false;
  const reader = new TarReader({
    entry: (entry) => {
      hasBytes = entry.size > 0;
      parts.push({ kind: "entry", entry });
    },
    data: (bytes) => parts.push({ kind: "bytes", bytes: new Uint8Array(bytes), isLast: false }),
    endEntry: () => hasBytes && parts.push({ kind: "bytes", bytes: new Uint8Array(), isLast: true }),
  });
  for await (const chunk of tar) {
    reader.push(chunk);
    yield* parts.splice(0);
  }
  reader.end();
  yield* parts;
}

function statOf(entry: TarEntry) {
  return {
    path: Buffer.from(entry.path.replace(/^\.\//, "").replace(/\/$/, ""), "latin1"),
    mode: encodeGoMode(entry.type, entry.mode),
    uid: entry.uid,
    gid: entry.gid,
    size: BigInt(entry.size),
    mtimeNs: BigInt(entry.mtimeSeconds) * NS_PER_SECOND + BigInt(entry.mtimeNanoseconds),
    linkPath: Buffer.from(entry.linkPath, "latin1"),
    deviceMajor: BigInt(entry.deviceMajor),
    deviceMinor: BigInt(entry.deviceMinor),
    xattrs: new Map(entry.xattrs.map(({ name, value }) => [name, value])),
  };
}
