import { closeSync } from "node:fs";
import { check, libc } from "./libc.ts";

const SYS_EVENTFD2 = process.arch === "arm64" ? 19n : 290n;
const EFD_CLOEXEC_NONBLOCK = 0x80000n | 0x800n;

interface EventFd extends Disposable {
  readonly fd: number;
}

/** An eventfd(2) whose counter goes back to 0 with each call of `onSignal`: once or more signalled. No thread waits for it. */
export function openEventFd(onSignal: () => void): EventFd {
  const fd = check(libc.syscall(SYS_EVENTFD2, 0n, EFD_CLOEXEC_NONBLOCK, 0n, 0n, 0n), "eventfd2(2)");
  const reader = Bun.file(fd).stream().getReader();
  let isOpen = true;
  const follow = async () => {
    while (isOpen) {
      await reader.read();
      if (isOpen) onSignal();
    }
    closeSync(fd);
  };
  void follow();
  return {
    fd,
    [Symbol.dispose]() {
      isOpen = false;
      reader.cancel().catch(() => {}); // ends the read that waits
    },
  };
}
