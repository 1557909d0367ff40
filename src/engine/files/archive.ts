/** Files of a container, from outside: `docker cp`. The work is done by a file worker, see archive-files.ts. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { encodeError } from "../../base/wire-error.ts";
import { type JobOutput, type RawBody, runWithInput, runWithOutput } from "../../files/mod.ts";
import { bytePath } from "../../linux/sys/fs.ts";
import type { Container } from "../container.ts";
import type { Engine } from "../engine.ts";
import { withContainerRoot } from "./container-root.ts";
import {
  type DirectoryListing,
  listFilesJob,
  type PathStat,
  readFilesJob,
  statFilesJob,
  type Target,
  writeFilesJob,
} from "./file-jobs.ts";

export interface WriteOptions {
  /** True if a directory may not become something else, nor the other way round. */
  keepKinds: boolean;
  /** True if files belong to the container's user, whatever the tar says. */
  ownedByUser: boolean;
}

/**
 * Returns the stat of a path.
 * @param containerRef the container as the client named it, for messages
 */
export async function statFiles(
  engine: Engine,
  container: Container,
  asGiven: string,
  containerRef: string,
): Promise<PathStat> {
  const target = parseTarget(asGiven, containerRef);
  return await withContainerRoot(engine, container, (rootFd) =>
    engine.workers.run(statFilesJob, { target }, { fds: [rootFd] }),
  );
}

/** Lists a directory; a link to one is followed. */
export async function listFiles(
  engine: Engine,
  container: Container,
  asGiven: string,
  containerRef: string,
): Promise<DirectoryListing> {
  const target = parseTarget(asGiven, containerRef);
  return await withContainerRoot(engine, container, (rootFd) =>
    engine.workers.run(listFilesJob, { target }, { fds: [rootFd] }),
  );
}

/**
 * Reads files. They stay mounted until `receive` is done, if the container does not run; so only where it does may a client that
 * `takesFiles` get descriptors, which it may keep for longer.
 */
export async function readFiles(
  engine: Engine,
  container: Container,
  asGiven: string,
  containerRef: string,
  takesFiles: boolean,
  receive: (stat: PathStat, tar: JobOutput) => Promise<void>,
): Promise<void> {
  const target = parseTarget(asGiven, containerRef);
  const { idMappings } = container.record;
  const argument = { target, idMappings, takesFiles: takesFiles && container.isRunning };
  await withContainerRoot(engine, container, (rootFd) =>
    runWithOutput(engine.workers, readFilesJob, argument, { fds: [rootFd] }, (stat: PathStat, tar) => {
      container.publish("archive-path");
      return receive(stat, tar);
    }),
  );
}

/** Unpacks `tar`, compressed or not, into the directory. */
export async function writeFiles(
  engine: Engine,
  container: Container,
  asGiven: string,
  containerRef: string,
  tar: AsyncIterable<Uint8Array> | RawBody,
  { keepKinds, ownedByUser }: WriteOptions,
): Promise<void> {
  const target = parseTarget(asGiven, containerRef);
  const { idMappings } = container.record;
  await withContainerRoot(engine, container, async (rootFd) => {
    const plan = { target, keepKinds, idMappings, ...planWrite(engine, container, asGiven, ownedByUser) };
    if ("fd" in tar) {
      const fds = [rootFd, tar.fd, tar.firstFd];
      await engine.workers.run(writeFilesJob, { ...plan, form: tar.form }, { fds });
    } else await runWithInput(engine.workers, writeFilesJob, { ...plan, form: "plain" }, { fds: [rootFd] }, tar);
    container.publish("extract-to-dir");
  });
}

/** Plans the owner of the files, and the reason why they must not be written; reasons come in Docker's order. */
function planWrite(engine: Engine, container: Container, asGiven: string, ownedByUser: boolean) {
  const { record } = container;
  try {
    requireWritable(container, asGiven);
    if (!ownedByUser || !record.config.User) return {};
    const { uid, gid } = engine.planner.findUser(record, engine.paths.container(record.id), record.config.User);
    return { owner: { uid, gid } };
  } catch (error) {
    if (error instanceof LighterError) return { refusal: encodeError(error) };
    throw error;
  }
}

function parseTarget(asGiven: string, containerRef: string): Target {
  if (asGiven.includes("\0")) throw new LighterError("invalid", "bad parameter: path has a NUL character");
  const clean = posix.resolve("/", asGiven);
  const end = /(^|\/)\.\/*$/.test(asGiven) ? "/." : asGiven.endsWith("/") ? "/" : "";
  return { asGiven, containerRef, path: bytePath(clean === "/" ? `/${end === "/." ? "." : ""}` : clean + end) };
}

/** Checks the path as it was given, as Docker does; where links lead elsewhere, the kernel says the same. */
function requireWritable({ record }: Container, asGiven: string): void {
  const path = posix.resolve("/", asGiven);
  const holds = (destination: string) => path === destination || path.startsWith(`${destination}/`);
  const point = record.mountPoints.findLast(({ destination }) => holds(destination));
  if (point?.readOnly) throw new LighterError("internal", "mounted volume is marked read-only");
  if (point === undefined && record.hostConfig.ReadonlyRootfs)
    throw new LighterError("internal", "container rootfs is marked read-only");
}
