import { closeSync, readSync } from "node:fs";
import { errnoOf } from "../../base/errors.ts";
import { check, libc } from "./libc.ts";

const SYS_EVENTFD2 = process.arch === "arm64" ? 19n : 290n;
const EFD_CLOEXEC_NONBLOCK = 0x80000n | 0x800n;

/**
 * An eventfd(2) whose counter goes back to 0 with each call of `onSignal`: once or more signalled. No thread waits for it. `use` says to
 * somebody which it is: its number is another one's afterwards.
 */
export function openEventFd(onSignal: () => void, use: (fd: number) => void): Disposable {
  const fd = check(libc.syscall(SYS_EVENTFD2, 0n, EFD_CLOEXEC_NONBLOCK, 0n, 0n, 0n), "eventfd2(2)");
  const reader = Bun.file(fd).stream().getReader(); // has a duplicate of its own
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

/** Whether the eventfd has been signalled; its counter is 0 then. */
export function takeSignals(fd: number): boolean {
  try {
    return readSync(fd, new Uint8Array(8)) > 0;
  } catch (error) {
    if (errnoOf(error) === "EAGAIN") return false;
    throw error;
  }
}
