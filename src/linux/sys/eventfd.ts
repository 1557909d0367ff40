/** eventfd(2): signals from the kernel, heard without a thread that waits. */
import { closeSync, readSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { check, tryCall } from "./door.ts";

const EFD_CLOEXEC_NONBLOCK = 0x80000 | 0x800;

/**
 * Opens an eventfd(2). `onSignal` is called once it has been signalled, one or more times; its counter is then 0 again. No thread
 * waits for it. `use` hands the fd to whoever is to signal it, and must do so before it returns: later the number is another
 * file's.
 */
export function openEventFd(onSignal: () => void, use: (fd: number) => void): Disposable {
  const fd = check(tryCall("eventfd2", 0, EFD_CLOEXEC_NONBLOCK), "eventfd2(2)");
  const reader = Bun.file(fd).stream().getReader(); // it has a duplicate of its own
  let isOpen = true;
  const follow = async () => {
    while (isOpen) {
      await reader.read();
      if (isOpen) onSignal();
    }
  };
  void follow();
  const close = () => {
    isOpen = false;
    reader.cancel().catch(() => {}); // ends the read that waits
  };
  try {
    use(fd);
  } catch (error) {
    close();
    throw error;
  } finally {
    closeSync(fd);
  }
  return { [Symbol.dispose]: close };
}

/** Sets the eventfd's counter to 0 and returns whether it had been signalled. */
export function takeSignals(fd: number): boolean {
  try {
    return readSync(fd, new Uint8Array(8)) > 0;
  } catch (error) {
    if (errnoOf(error) === "EAGAIN") return false;
    throw error;
  }
}
