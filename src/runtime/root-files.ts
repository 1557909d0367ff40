/** Files that a start writes into the container's root. */
import { posix } from "node:path";
import { utf8 } from "../base/bytes.ts";
import { O, type OpList, slot, text } from "../linux/program/builder.ts";
import { ROOT } from "./mounts/place.ts";
import type { RootFile } from "./types.ts";

const NEW_FILE = O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW | O.CLOEXEC;
/** The right of all others to read. */
const FOR_ALL = 0o004;

/**
 * In the child, after the mounts. Each is a new file: what an image may have there, a FIFO or a device, is not opened. Where a
 * directory is in the way, that stays.
 */
export function writeFiles(init: OpList, files: readonly RootFile[]): void {
  for (const { path, text: content, replaces, mode = 0o644 } of files) {
    const why = `write ${path}`;
    const name = posix.basename(path);
    const parent = posix.dirname(path).slice(1) || ".";
    const made = { kind: "openTarget", root: ROOT, path: parent, type: "directory", noSymlinks: false } as const;
    init.add({ ...made, out: "directory", tolerate: ["EROFS", "ENOTDIR"], why });
    const old = { noSymlinks: true, guard: "directory", tolerate: ["ELOOP", "ENOENT"] };
    init.openInRoot("directory", name, O.PATH, "old", why, old);
    const guard = replaces ? "old" : "directory";
    init.call("unlinkat", [slot("directory"), text(name), 0], why, { guard: "old", tolerate: ["EISDIR", "EROFS"] });
    const create = [slot("directory"), text(name), NEW_FILE, mode];
    init.call("openat", create, why, { guard, tolerate: ["EEXIST", "EROFS"], out: "new" });
    const bytes = utf8(content);
    const show = mode & FOR_ALL ? JSON.stringify(content) : `${bytes.length} bytes`;
    init.call("write", [slot("new"), { data: bytes, show }, bytes.length], why, {
      guard: "new",
    });
    init.close("new", why, { guard: "new" });
  }
}
