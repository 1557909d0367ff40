/** What a file worker does with a build's context: it writes the files, and notes what is in them. */
import { closeSync } from "node:fs";
import { receiveAll } from "../../files/mod.ts";
import { DigestWriter, decompressStream, LiveExtractor, TarReader } from "../../image/mod.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import { bytePath, O_DIRECTORY, O_PATH, openat } from "../../linux/sys/fs.ts";

const OWNER = { uid: 0, gid: 0 };

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
