/** A process that only waits, in a cgroup that would go if it were empty. */
import { OpList } from "../linux/program/builder.ts";
import { FIRST_CARRIED_FD } from "../linux/program/format.ts";
import type { Program } from "../linux/program/op.ts";
import { LOCK_EX } from "../linux/sys/abi.ts";

/** Compiles its program: it waits for the lock of the file that it has been given, which whoever has it gives up at its end. */
export function compileWait(): Program {
  const host = new OpList("host");
  host.call("flock", [FIRST_CARRIED_FD, LOCK_EX], "until the place is taken");
  return {
    host: host.ops,
    init: [],
    cleanup: [],
    supervise: { init: "none", hold: false, exitPath: "", socketPath: "" },
  };
}
