/** What file workers do for builds: see build-files.ts for how. */
import type { FileJob } from "../../files/mod.ts";

export interface CopyArgument {
  sources: readonly string[];
  /** Absolute; a slash at its end says that it is a directory. */
  destination: string;
  owner: { uid: number; gid: number };
  /** Archives are unpacked. */
  unpack: boolean;
}

/** With the sources' root as its fd. */
export const hashSourcesJob: FileJob<{ sources: readonly string[] }, string> = { kind: "hash sources" };

/** With the fds of the root that is copied into, and of the sources' root. */
export const copySourcesJob: FileJob<CopyArgument, null> = { kind: "copy sources" };

/** With a root's fd. */
export const makeDirectoryInJob: FileJob<{ path: string }, null> = { kind: "make directory in a root" };
