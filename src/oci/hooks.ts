/** Runs the hooks of a bundle. */
import { type HookName, runHooks as runHooksOf } from "../runtime/hooks.ts";
import type { Runtime } from "../runtime/mod.ts";
import type { OciState } from "../spec/oci-runtime.ts";
import type { OciContext } from "./command.ts";
import { withHome } from "./home.ts";
import { effectiveConfig, told } from "./launch.ts";
import type { StateHandle } from "./state.ts";

/** Runs the hooks of one kind. @throws LighterError for the first that fails, or exceeds its timeout */
export async function runHooks(
  context: OciContext,
  runtime: Runtime,
  handle: StateHandle,
  name: HookName,
  status: OciState["status"],
): Promise<void> {
  const { id, pid, bundle, rootfs } = handle.state;
  const target = {
    ...{ id, pid, bundle, rootfs, directory: handle.directory },
    config: effectiveConfig(handle),
    complete: (process: Parameters<typeof withHome>[0]) => withHome(process, `/proc/${pid}/root`),
    onOp: told(context).onOp,
    onRun: (what: string) => context.log.debug(`run ${what}`),
  };
  await runHooksOf(runtime, target, name, status);
}
