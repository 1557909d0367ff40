/** Containers as `state` and `list` print them. */
import type { ContainerStatus, StateHandle } from "./state.ts";
import { statusOf } from "./state.ts";

/** A container as `state` and `list` print it, in runc's order. Source: runtime-spec runtime.md#state, and runc's additions. */
export interface ContainerView {
  ociVersion: string;
  id: string;
  /** The pid of init; 0 for a stopped container. */
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

/** The output of `state`. As with runc, only `list` has the owner, and only `list` ends the line. */
export function formatState(handle: StateHandle, status: ContainerStatus): string {
  return JSON.stringify({ ...viewAs(handle, status), owner: "" }, null, 2);
}
