/** A container as its row holds it. */
import type { MachineEnd } from "../../machine/mod.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciResources } from "../../spec/oci-runtime.ts";
import type { MountPoint } from "../config/mounts.ts";
import type { HealthRecord } from "../health/health-state.ts";
import type { ContainerNetworking } from "../networks/types.ts";
import type { IdMappings } from "../userns/id-mappings.ts";

/** The status of a row. "removing": the name is free, the files are being deleted; the row goes last. */
export type ContainerStatus = "created" | "running" | "exited" | "removing";

/** What Kubernetes has asked for: a pod's sandbox, or a container of one. */
export interface PodRecord {
  /** The id of the container's sandbox; undefined for a sandbox. */
  readonly sandboxId?: string;
  /** The config as it came: a message of Kubernetes' interface, in base64. */
  readonly config: string;
  /** The file that the container's output goes to. */
  readonly logPath?: string;
  /** The ids of its user namespace; undefined: the host's. */
  readonly idMappings?: IdMappings;
  /** The destinations of binds whose files have the owners that the container sees. */
  readonly mappedMounts?: readonly string[];
  /** Whether the user's groups in the image count; by default they do. */
  readonly groups?: "strict";
  /** Capabilities that programs without file capabilities get, too, whoever the user is. */
  readonly ambient?: readonly string[];
  /** Limits for which Docker has no words. */
  readonly limits?: Pick<OciResources, "hugepageLimits" | "unified">;
  /** The handler that the sandbox was asked to run with. */
  readonly runtimeHandler?: string;
  /** True until the sandbox has its network. */
  readonly isStarting?: boolean;
  /** True if the sandbox was told to stop: nothing starts in it any more. */
  readonly isStopped?: boolean;
  /** The addresses of the sandbox in its network, the main one first. */
  readonly addresses?: readonly string[];
  /** When the container's only start failed. RFC 3339. */
  readonly startFailedAt?: string;
}

/** A container on disk. Times are RFC 3339 or ZERO_TIME. Only the methods of `Container` change one. */
export interface ContainerRecord {
  readonly id: string;
  /** The name without Docker's leading slash. Kept in memory while removing, when the row no longer holds it. */
  readonly name: string;
  readonly status: ContainerStatus;
  readonly createdAt: string;
  /** The image's name as the client wrote it. */
  readonly image: string;
  /** The digest of the image's config. */
  readonly imageId: string;
  readonly config: DockerContainerConfig;
  readonly hostConfig: DockerHostConfig;
  readonly mountPoints: MountPoint[];
  /** The mappings of its user namespace, since its creation or its last start; null: it is in the host's. */
  readonly idMappings: IdMappings | null;
  readonly networking: ContainerNetworking;
  /** The pid of init on the host; 0 when not running. */
  readonly pid: number;
  readonly exitCode: number;
  /** The reason why the last start failed or the supervisor was lost; "" if neither. */
  readonly error: string;
  readonly oomKilled: boolean;
  readonly startedAt: string;
  readonly finishedAt: string;
  /** The number of restarts since the last start by hand. */
  readonly restartCount: number;
  /** True if it runs and its processes stand still. */
  readonly paused: boolean;
  /** True if somebody stopped or killed it, so that not every restart policy starts it. */
  readonly manuallyStopped: boolean;
  /** The results of its health check; undefined without one, or before the first start. */
  readonly health: HealthRecord | undefined;
  /** Why a machine has ended the last time; undefined if it has not, and for other containers. */
  readonly machineEnd: MachineEnd | undefined;
  /** True if its anonymous volumes go with it. Decided when it is removed. */
  readonly removeVolumes: boolean;
  /** True if systemd makes its cgroup, a scope. */
  readonly inScope: boolean;
  /** What it is for Kubernetes; undefined for all others. */
  readonly pod: PodRecord | undefined;
}

/** A change of a container: the fields that get another value. */
export type RecordPatch = Partial<Omit<ContainerRecord, "id">>;
