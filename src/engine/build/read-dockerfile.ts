/** Finds the Dockerfile in a build's context, and takes what the context is not to have out of it. */
import { closeSync } from "node:fs";
import { posix } from "node:path";
import { LighterError } from "../../base/errors.ts";
import { BUILD_DOCKERFILE_MAX_BYTES } from "../../base/limits.ts";
import { readFileInLayers } from "../../image/mod.ts";
import { AT_FDCWD } from "../../linux/sys/abi.ts";
import {
  bytePath,
  O_DIRECTORY,
  O_PATH,
  openat,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  tryOpenat2,
  tryUnlinkat,
} from "../../linux/sys/fs.ts";
import { IGNORE_FILE, parseIgnoreFile } from "../../spec/docker-ignore.ts";

/** The name that clients give a Dockerfile from outside of the context, which is no part of that. */
const STRAY_DOCKERFILE = /^\.dockerfile\.[0-9a-f]{20}$/;

/** The Dockerfile's name, as people know it. */
export function shownName(path: string): string {
  return STRAY_DOCKERFILE.test(path) ? "Dockerfile" : path;
}

/** Reads the Dockerfile at a path in the context. @throws LighterError ("invalid") with Docker's words if there is none */
export function readDockerfile(contextPath: string, path: string): string {
  const read = (each: string) => readFileInLayers([contextPath], `/${each}`, BUILD_DOCKERFILE_MAX_BYTES, tooLong);
  // As with Docker, the usual name may be written in small letters.
  for (const found of [path, ...(path === "Dockerfile" ? ["dockerfile"] : [])]) {
    const text = read(found)?.toString("utf8");
    if (text === undefined) continue;
    if (STRAY_DOCKERFILE.test(path)) removeIn(contextPath, path);
    else removeIgnored(contextPath, found);
    return text;
  }
  throw new LighterError("invalid", `Cannot locate specified Dockerfile: ${shownName(path)}`);
}

function tooLong(byteCount: number): LighterError {
  return new LighterError(
    "invalid",
    `the Dockerfile has ${byteCount} bytes, above the limit of ${BUILD_DOCKERFILE_MAX_BYTES}: ` +
      "put large content into files of the context, and COPY them",
  );
}

/** A client sends both files in any case; if .dockerignore leaves them out, they are not there to be copied. */
function removeIgnored(contextPath: string, dockerfile: string): void {
  const ignore = readFileInLayers([contextPath], `/${IGNORE_FILE}`, BUILD_DOCKERFILE_MAX_BYTES)?.toString("utf8");
  if (ignore === undefined) return;
  const { excludes } = parseIgnoreFile(ignore);
  for (const path of [IGNORE_FILE, posix.join("/", dockerfile).slice(1)])
    if (excludes(path)) removeIn(contextPath, path);
}

/** Removes a file. A context may have links on the way there: they lead nowhere else. */
function removeIn(contextPath: string, path: string): void {
  const rootFd = openat(AT_FDCWD, bytePath(contextPath), O_PATH | O_DIRECTORY);
  const parent = bytePath(posix.dirname(posix.join("/", path)));
  const fd = tryOpenat2(rootFd, parent, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
  closeSync(rootFd);
  if (fd < 0) return;
  tryUnlinkat(fd, bytePath(posix.basename(path)));
  closeSync(fd);
}
