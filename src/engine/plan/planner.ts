/** The interface between the engine and whoever plans creations, starts and execs. */
import type { FileWorkers } from "../../files/mod.ts";
import type { MachineSecrets } from "../../machine/mod.ts";
import type { RootFile } from "../../runtime/types.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciConfig, OciMount, OciProcess } from "../../spec/oci-runtime.ts";
import type { MountPoint } from "../config/mounts.ts";
import type { Containers } from "../containers.ts";
import type { Networks } from "../networks/networks.ts";
import type { EndpointRecord } from "../networks/types.ts";
import type { ContainerPaths } from "../state/paths.ts";
import type { ContainerRecord, PodRecord } from "../state/record.ts";
import type { MountedVolumes } from "../volumes/mounted-volumes.ts";
import type { VolumesInUse } from "../volumes/volumes-in-use.ts";

/** The result of planning a create request. */
export interface CreatePlan {
  /** The config, merged with the image's. */
  config: DockerContainerConfig;
  /** The host config, with Docker's defaults. */
  hostConfig: DockerHostConfig;
  /** The image's name as the client wrote it. */
  image: string;
  imageId: string;
  mountPoints: MountPoint[];
  endpoints: EndpointRecord[];
  /** True if systemd makes its cgroup. */
  inScope: boolean;
  warnings: string[];
  /** What is kept beside the row, for a machine. */
  secrets: MachineSecrets | undefined;
}

export interface StartPlan {
  config: OciConfig;
  /** The files that a start writes, as StartRequest has them. */
  files?: readonly RootFile[];
  /** True if the container sees its own limits, as StartRequest has it. */
  view?: boolean;
  /** True if the container's processes are below the cgroup with its limits, as StartRequest has it. */
  limitsAbove?: boolean;
  /** Where a machine says how it is, as StartRequest has it. */
  notifySocket?: string;
  /** The mounts that make the rootfs. */
  rootfs: readonly OciMount[];
  /** The directories with mapped ids, as StartRequest has them. */
  idmappedDirectories?: readonly string[];
}

export interface ExecOptions {
  Cmd: readonly string[];
  Env?: readonly string[];
  WorkingDir?: string;
  User?: string;
  Privileged?: boolean;
  Tty?: boolean;
  /** The size of the terminal, [height, width]. */
  ConsoleSize?: readonly number[];
}

/** The meaning of a create request that depends on the API's version. */
export interface CreateOptions {
  platform?: string | undefined;
  /** True if read-only binds are shallow unless they say otherwise: what is mounted below their source stays writable. */
  shallowReadOnly?: boolean;
  /** True if a request without a cgroup namespace mode means the host's, on cgroup v1. */
  hostCgroupns?: boolean;
  /** What the container is for Kubernetes. */
  pod?: PodRecord;
}

/** The parts of the engine that a planner needs: a container may name others, whose namespaces it shares. */
export interface PlannerParts {
  containers: Pick<Containers, "find" | "findIf">;
  networks: Networks;
  mountedVolumes: MountedVolumes;
  workers: FileWorkers;
}

/**
 * Translates Docker's words to the runtime's. The engine asks; it knows neither images nor the host. A plan fails with
 * "unavailable" if a path that a client has named is on a file system that does not answer.
 */
export interface Planner {
  /** Plans a creation. `body` is the request's JSON. @throws LighterError */
  planCreate(body: unknown, id: string, options: CreateOptions): Promise<CreatePlan>;
  /** Loads the security profile that a process gets, before the process is started. @throws LighterError if that fails */
  prepareProfile(record: ContainerRecord): Promise<void>;
  /** Makes the sources of the record's mounts, before a start. `first`: the container has never run. */
  prepareMounts(record: ContainerRecord, first: boolean): Promise<VolumesInUse>;
  /**
   * Makes what the start needs on disk, unless `dryRun`. `first`: the container has never run.
   * @throws LighterError
   */
  planStart(
    record: ContainerRecord,
    paths: ContainerPaths,
    options: { first: boolean; dryRun: boolean },
  ): Promise<StartPlan>;
  /**
   * Plans the root file system with binds and volumes, and nothing to run in it: for access to the files of a container that does
   * not run. Makes what that needs on disk, apart from the sources of its mounts.
   */
  planFiles(record: ContainerRecord, paths: ContainerPaths): Promise<StartPlan>;
  /** Plans the config of a running container, which an earlier daemon may have started, without its mounts and devices. */
  planRunning(record: ContainerRecord, paths: ContainerPaths): OciConfig;
  /** Finds a user in the container's own /etc/passwd, and the groups. @throws LighterError "invalid" if there is none */
  findUser(
    record: ContainerRecord,
    paths: ContainerPaths,
    user: string,
  ): { uid: number; gid: number; additionalGids: readonly number[] };
  planExec(record: ContainerRecord, paths: ContainerPaths, config: OciConfig, exec: ExecOptions): OciProcess;
}
