import type { ContainerStatus, StateHandle } from "./state.ts";
import { statusOf } from "./state.ts";

/** A container as `state` and `list` print it, in runc's order. runtime-spec runtime.md#state and more. */
export interface ContainerView {
  ociVersion: string;
  id: string;
  /** 0 for a stopped one. */
  pid: number;
  status: ContainerStatus;
  bundle: string;
  rootfs: string;
  created: string;
  annotations?: Record<string, string>;
  owner: string;
}

export function viewOf(handle: StateHandle): ContainerView {
  return viewAs(handle, statusOf(handle));
}

function viewAs({ state, config }: StateHandle, status: ContainerStatus): ContainerView {
  const { annotations = {} } = config;
  return {
    ociVersion: config.ociVersion,
    id: state.id,
    pid: status === "stopped" ? 0 : state.pid,
    status,
    bundle: state.bundle,
    rootfs: state.rootfs,
    created: state.created,
    ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    owner: state.owner,
  };
}

/** What `state` prints of a container in that state. As runc: no owner but in `list`, no line end but there. */
export function formatState(handle: StateHandle, status: ContainerStatus): string {
  return JSON.stringify({ ...viewAs(handle, status), owner: "" }, null, 2);
}
