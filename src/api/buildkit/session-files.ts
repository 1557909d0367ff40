/** What a client's session serves to its build: directories, and what it was given on standard input. */
import { LighterError } from "../../base/errors.ts";
import { type ContextMemory, receiveTree, type ServedTree, TarReader } from "../../engine/mod.ts";
import { Outbox } from "../../grpc/outbox.ts";
import { dataOf } from "./pieces.ts";
import type { Session } from "./sessions.ts";

const PULL = "/moby.upload.v1.Upload/Pull";
const DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy";

interface TreeOptions {
  /** Only these paths, and what links in them point to. */
  followPaths?: readonly string[];
  /** Patterns of what is wanted, and of what is left out. */
  include?: readonly string[];
  exclude?: readonly string[];
  /** What need not be sent. */
  memory?: ContextMemory | undefined;
  signal: AbortSignal;
}

/** A directory that the client serves, of which it sends what is not known from earlier sessions for the same directory. */
export function servedTree(session: Session, name: string, send: ServedTree["send"]): ServedTree {
  return { key: session.sharedKey === "" ? undefined : `${session.sharedKey}\n${name}`, send };
}

/** Yields the tar of a directory that the client serves under a name. */
export async function* treeOf(
  session: Session,
  name: string,
  { followPaths = [], include = [], exclude = [], memory, signal }: TreeOptions,
): AsyncGenerator<Uint8Array> {
  const requests = new Outbox();
  const metadata = {
    "dir-name": [name],
    ...listed("followpaths", followPaths),
    ...listed("include-patterns", include),
    ...listed("exclude-patterns", exclude),
  };
  try {
    const packets = session.callInBatches(DIFF_COPY, requests, { metadata, signal });
    yield* receiveTree(packets, (packet) => requests.send(packet), memory);
  } finally {
    requests.close();
  }
}

/** Texts that are not ASCII are escaped, and a second key says so. */
function listed(key: string, values: readonly string[]): Record<string, readonly string[]> {
  if (values.length === 0) return {};
  if (values.every((value) => /^[\x20-\x7e]*$/.test(value))) return { [key]: values };
  return { [key]: values.map(encodeURIComponent), [`${key}-encoded`]: ["1"] };
}

/** Reads files of a directory that the client serves, as far as they exist. */
export async function readFiles(
  session: Session,
  name: string,
  options: TreeOptions & { maxBytes: number },
): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  let [path, chunks, length] = ["", [] as Uint8Array[], 0];
  const reader = new TarReader({
    entry: (entry) => {
      path = Buffer.from(entry.path, "latin1").toString();
      chunks = [];
    },
    data: (bytes) => {
      length += bytes.length;
      if (length > options.maxBytes)
        throw new LighterError("invalid", `"${path}" is larger than ${options.maxBytes} bytes`);
      chunks.push(new Uint8Array(bytes));
    },
    endEntry: () => files.set(path, Buffer.concat(chunks)),
  });
  for await (const chunk of treeOf(session, name, options)) reader.push(chunk);
  reader.end();
  return files;
}

/** Yields what the client has got from its standard input: a tar. */
export async function* uploadOf(session: Session, path: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const metadata = { urlhost: "buildkit-session", urlpath: path };
  yield* dataOf(session.call(PULL, [new Uint8Array()], { metadata, signal }));
}
