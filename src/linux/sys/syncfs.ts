/** syncfs(2) without blocking the event loop. */
import { LighterError } from "../../base/errors.ts";
import { kernelError } from "./fs.ts";

/**
 * The thread that calls syncfs(2), which may wait for the disk for seconds and which neither Bun nor Node has asynchronously. Its
 * source is text because a worker file would have to be an entry point of every build.
 */
const WORKER_SOURCE = `
const { dlopen, read } = require("bun:ffi");
const libc = dlopen("libc.so.6", {
  syncfs: { args: ["i32"], returns: "i32" },
  __errno_location: { args: [], returns: "ptr" },
}).symbols;
self.onmessage = ({ data: fd }) => {
  const rc = libc.syncfs(fd);
  postMessage(rc === 0 ? 0 : read.i32(libc.__errno_location(), 0));
};
`;

/**
 * Writes everything of the file system that `fd` is on to the disk.
 * @throws LighterError ("kernel") with the error of writing (since Linux 5.8), such as ENOSPC or EIO
 */
export async function syncFileSystem(fd: number): Promise<void> {
  const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: "application/javascript" }));
  const worker = new Worker(url);
  try {
    const errno = await new Promise<number>((resolve, reject) => {
      worker.onmessage = (event: MessageEvent<number>) => resolve(event.data);
      worker.onerror = (event) => reject(new LighterError("internal", `syncfs thread: ${event.message}`));
      worker.postMessage(fd);
    });
    if (errno === 0) return;
    throw kernelError(-errno, "syncfs");
  } finally {
    worker.terminate();
    URL.revokeObjectURL(url);
  }
}
