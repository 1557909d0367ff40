/** Finds the Dockerfile in a build's context, and takes what the context is not to have out of it. */
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { BUILD_DOCKERFILE_MAX_BYTES } from "../../base/limits.ts";
import { isFile, readWhole, type SourceTree } from "../../image/mod.ts";
import { type BytePath, bytePath } from "../../linux/sys/fs.ts";
import { IGNORE_FILE, parseIgnoreFile } from "../../spec/docker-ignore.ts";

/** The name that clients give a Dockerfile from outside of the context, which is no part of that. */
const STRAY_DOCKERFILE = /^\.dockerfile\.[0-9a-f]{20}$/;

/** The Dockerfile's name, as people know it. */
export function shownName(path: string): string {
  return STRAY_DOCKERFILE.test(path) ? "Dockerfile" : path;
}

/**
 * Reads the Dockerfile at a path in the context, and takes out of it what is not to be copied.
 * @throws LighterError ("invalid") with Docker's words if there is none
 */
export function takeDockerfile(context: SourceTree, path: string): Buffer {
  // As with Docker, the usual name may be written in small letters.
  for (const found of [path, ...(path === "Dockerfile" ? ["dockerfile"] : [])]) {
    const text = readFile(context, found);
    if (text === undefined) continue;
    if (STRAY_DOCKERFILE.test(path)) context.remove(pathIn(path));
    removeIgnored(context, found); // what the client wrote for itself, too
    return text;
  }
  throw new LighterError("invalid", `Cannot locate specified Dockerfile: ${shownName(path)}`);
}

function pathIn(path: string): BytePath {
  return bytePath(posix.join("/", path));
}

function readFile(context: SourceTree, path: string): Buffer | undefined {
  const entry = context.find(pathIn(path));
  try {
    if (entry === undefined || !isFile(entry)) return undefined;
    if (entry.size > BUILD_DOCKERFILE_MAX_BYTES) throw tooLong(path, entry.size);
    return readWhole(entry);
  } finally {
    entry?.close();
  }
}

function tooLong(path: string, byteCount: number): LighterError {
  const limit = `${byteCount} bytes, above the limit of ${BUILD_DOCKERFILE_MAX_BYTES}`;
  if (path === IGNORE_FILE) return new LighterError("invalid", `${IGNORE_FILE} has ${limit}`);
  return new LighterError(
    "invalid",
    `the Dockerfile has ${limit}: put large content into files of the context, and COPY them`,
  );
}

/** A client sends both files in any case; if .dockerignore leaves them out, they are not there to be copied. */
function removeIgnored(context: SourceTree, dockerfile: string): void {
  const ignore = readFile(context, IGNORE_FILE)?.toString("utf8");
  if (ignore === undefined) return;
  const { excludes } = parseIgnoreFile(ignore);
  for (const path of [IGNORE_FILE, posix.join("/", dockerfile).slice(1)])
    if (excludes(path)) context.remove(pathIn(path));
}
