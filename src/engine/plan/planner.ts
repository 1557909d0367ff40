import type { FileWorkers } from "../../files/mod.ts";
import type { RootFile } from "../../runtime/types.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciConfig, OciMount, OciProcess } from "../../spec/oci-runtime.ts";
import type { MountPoint } from "../config/mounts.ts";
import type { Container } from "../container.ts";
import type { EndpointRecord } from "../networks/types.ts";
import type { ContainerPaths } from "../state/paths.ts";
import type { ContainerRecord } from "../state/store.ts";
import type { MountedVolumes } from "../volumes/mounted-volumes.ts";
import type { VolumesInUse } from "../volumes/volumes-in-use.ts";

/** What a create request comes to. */
export interface CreatePlan {
  /** Merged with the image's. */
  config: DockerContainerConfig;
  /** With Docker's defaults. */
  hostConfig: DockerHostConfig;
  /** As the client wrote it. */
  image: string;
  imageId: string;
  mountPoints: MountPoint[];
  endpoints: EndpointRecord[];
  warnings: string[];
}

export interface StartPlan {
  config: OciConfig;
  /** As StartRequest has them. */
  files?: readonly RootFile[];
  /** Mounts that make the rootfs. */
  rootfs: readonly OciMount[];
  /** As StartRequest has it. */
  idmappedDirectories?: readonly string[];
}

export interface ExecOptions {
  Cmd: readonly string[];
  Env?: readonly string[];
  WorkingDir?: string;
  User?: string;
  Privileged?: boolean;
  Tty?: boolean;
  /** [height, width]. */
  ConsoleSize?: readonly number[];
}

/** How clients of older APIs meant a create request. */
export interface CreateOptions {
  platform?: string | undefined;
  /** Read-only binds that do not say are so without what is mounted below their source. */
  shallowReadOnly?: boolean;
  /** Without a word on cgroup namespaces, the host's is meant where cgroups are of version 1. */
  hostCgroupns?: boolean;
}

/**
 * From Docker's words to the runtime's. The engine asks; it knows neither images nor the host. A plan fails with "unavailable" where a
 * path that a client has named is on a file system that does not answer.
 */
export interface Planner {
  /**
   * Called once, by the engine: a container may name others, whose namespaces it shares. `hostGateway`: the address of the
   * host that stands for "host-gateway" in ExtraHosts.
   */
  connect(engine: {
    findContainer: (ref: string) => Container;
    hostGateway: () => string;
    mountedVolumes: MountedVolumes;
    workers: FileWorkers;
  }): void;
  /** `body` is the request's JSON. @throws LighterError */
  planCreate(body: unknown, id: string, options: CreateOptions): Promise<CreatePlan>;
  /** Before a process is started: has the security profile loaded that it gets. @throws LighterError if that fails */
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
   * The root file system with binds and volumes, and nothing to run in it: for those who want the files of a container that
   * does not run. Makes what that needs on disk, the sources of its mounts apart.
   */
  planFiles(record: ContainerRecord, paths: ContainerPaths): Promise<StartPlan>;
  /** The config of a running container, which an earlier daemon may have started, without its mounts and devices. */
  planRunning(record: ContainerRecord, paths: ContainerPaths): OciConfig;
  /** A user of the container's own /etc/passwd. @throws LighterError "invalid" if there is none */
  findUser(record: ContainerRecord, paths: ContainerPaths, user: string): { uid: number; gid: number };
  planExec(record: ContainerRecord, paths: ContainerPaths, config: OciConfig, exec: ExecOptions): OciProcess;
}
