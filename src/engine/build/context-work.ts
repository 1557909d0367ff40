/** What a file worker does with a build's context: it writes the files, and notes what is in them. */
import { createHash } from "node:crypto";
import { closeSync, futimesSync, openSync, writeSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { receiveAll } from "../../files/mod.ts";
import { DigestWriter, decompressStream, LiveExtractor, TarReader } from "../../image/mod.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import { bytePath, O_DIRECTORY, O_PATH, openat, showPath } from "../../linux/sys/fs.ts";

const OWNER = { uid: 0, gid: 0 };

/** Writes a file that only root may read, as Docker does with what it has downloaded. */
export async function writeDownload(
  inputFd: number,
  { path, modifiedSeconds }: { path: string; modifiedSeconds: number },
  beat: () => void,
): Promise<string> {
  const fd = openSync(path, "wx", 0o600);
  try {
    const hash = createHash("sha256");
    for await (const chunk of receiveAll(inputFd, beat)) {
      for (let done = 0; done < chunk.length; ) done += writeSync(fd, chunk, done);
      hash.update(chunk);
    }
    futimesSync(fd, modifiedSeconds, modifiedSeconds);
    return `sha256:${hash.digest("hex")}`;
  } finally {
    closeSync(fd);
  }
}

/** Writes a context, all of which belongs to root. @throws LighterError for what is no tar, and for entries that leave it. */
export async function writeContext(
  inputFd: number,
  { contextPath, digestsPath }: { contextPath: string; digestsPath: string },
  beat: () => void,
): Promise<null> {
  using digests = new DigestWriter(digestsPath);
  const rootFd = openat(AT_FDCWD, bytePath(contextPath), O_PATH | O_DIRECTORY);
  const onFile = (fd: number, size: number): void => digests.end(fd, size);
  const extractor = new LiveExtractor(rootFd, bytePath("/"), { keepKinds: false, owner: OWNER, onFile });
  try {
    const reader = new TarReader({
      entry: (entry) => {
        if (posix.normalize(entry.path).startsWith("../"))
          throw new LighterError("invalid", `"${showPath(entry.path)}" is outside of "/"`);
        digests.begin();
        extractor.entry(entry);
      },
      data: (bytes, offset) => {
        digests.data(bytes, offset);
        extractor.data(bytes, offset);
      },
      endEntry: () => extractor.endEntry(),
    });
    for await (const chunk of decompressStream(receiveAll(inputFd, beat))) {
      reader.push(chunk);
      beat();
    }
    reader.end();
    extractor.finish();
    digests.finish();
    return null;
  } finally {
    extractor.close();
    closeSync(rootFd);
  }
}
