/** A disk on which there is no room for rows of containers. */
import { spyOn } from "bun:test";
import { LighterError } from "../../src/base/errors.ts";
import type { Store } from "../../src/engine/state/store.ts";

/** Has the store refuse what can be refused, after `left` more writes, and write nothing of the rest. There is room again on disposal. */
export function fillDisk(store: Store, left = 0): Disposable {
  const update = store.update.bind(store);
  const refused = spyOn(store, "update").mockImplementation((id, patch) => {
    if (left-- > 0) return update(id, patch);
    throw new LighterError("kernel", "no space left on device", { errno: "ENOSPC" });
  });
  const late = spyOn(store, "updateOrLater").mockReturnValue(false);
  return {
    [Symbol.dispose]: () => {
      refused.mockRestore();
      late.mockRestore();
    },
  };
}
