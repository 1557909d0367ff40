/** The paths of everything that a daemon keeps. */
import { join } from "node:path";

/** The paths of a container's files. */
export interface ContainerPaths {
  /** The directory that is kept: upper, work and log. Made at the first start. */
  directory: string;
  upper: string;
  work: string;
  log: string;
  /** What a machine was given that is not in its row. */
  secrets: string;
  /** The copy of its row. */
  copy: string;
  /** The directory of one run: everything else. Usually in memory, where making a file costs next to nothing. */
  runDirectory: string;
  hosts: string;
  hostname: string;
  resolvConf: string;
  /** The directory that tells a machine about its host. */
  host: string;
  /** The id of a machine's run. */
  bootId: string;
  /** True if nobody needs the files after a power cut. */
  isVolatile?: boolean;
}

const RUN_NAME_LENGTH = 32;

/** The engine's directories. `execRoot` is lost at a reboot, as are the processes it tells of. */
export class EnginePaths {
  constructor(
    readonly dataRoot: string,
    readonly execRoot: string,
  ) {}

  get database(): string {
    return join(this.dataRoot, "lighter.db");
  }

  /** A copy of the networks' and volumes' rows. */
  get objects(): string {
    return join(this.dataRoot, "objects.json");
  }

  /** The file that reserves room for rows on a full disk. */
  get reserve(): string {
    return join(this.dataRoot, "reserve");
  }

  get images(): string {
    return join(this.dataRoot, "image");
  }

  get containers(): string {
    return join(this.dataRoot, "containers");
  }

  /** The trash of containers' directories. */
  get removedContainers(): string {
    return join(this.containers, ".removed");
  }

  get volumes(): string {
    return join(this.dataRoot, "volumes");
  }

  /** The layer below every container's image: see base-layer.ts. */
  get base(): string {
    return join(this.dataRoot, "base");
  }

  /** The program for `--init`. It is here and not below execRoot: some systems mount /run without the right to execute. */
  get init(): string {
    return join(this.dataRoot, "init");
  }

  /** The file with the families in which the host forwards packets because of us. A boot resets that, and empties execRoot. */
  get forwarding(): string {
    return join(this.execRoot, "forwarding");
  }

  container(id: string): ContainerPaths {
    return this.#pathsOf(id, this.runDirectory(id));
  }

  /** Returns the paths for mounting the files of a container that does not run. */
  view(id: string): ContainerPaths {
    return this.#pathsOf(id, this.viewDirectory(id));
  }

  /** Returns the paths for a step of a build, whose files are in `directory`. `view`: nothing of it is going to run. */
  step(id: string, directory: string, { view = false } = {}): ContainerPaths {
    const runDirectory = view ? this.viewDirectory(id) : join(this.stepDirectories, this.runName(id));
    return { ...this.#pathsOf(id, runDirectory, directory), isVolatile: true };
  }

  #pathsOf(id: string, runDirectory: string, directory = join(this.containers, id)): ContainerPaths {
    return {
      directory,
      upper: join(directory, "upper"),
      work: join(directory, "work"),
      log: join(directory, `${id}-json.log`),
      secrets: join(directory, "secrets.json"),
      copy: join(directory, "container.json"),
      runDirectory,
      hosts: join(runDirectory, "hosts"),
      hostname: join(runDirectory, "hostname"),
      resolvConf: join(runDirectory, "resolv.conf"),
      host: join(runDirectory, "host"),
      bootId: join(runDirectory, "boot_id"),
    };
  }

  // Returns a run directory. A unix socket's path has 107 bytes, of which an id would take 64 and "/supervisor.sock" takes 16.
  // Half an id is 128 random bits: unique all the same.

  get runDirectories(): string {
    return join(this.execRoot, "c");
  }

  runDirectory(id: string): string {
    return join(this.runDirectories, this.runName(id));
  }

  runName(id: string): string {
    return id.slice(0, RUN_NAME_LENGTH);
  }

  /** The run directories for mounting the files of containers that do not run. */
  get viewDirectories(): string {
    return join(this.execRoot, "v");
  }

  viewDirectory(id: string): string {
    return join(this.viewDirectories, id.slice(0, RUN_NAME_LENGTH));
  }

  /** The run directories of builds' steps. */
  get stepDirectories(): string {
    return join(this.execRoot, "b");
  }

  get execDirectories(): string {
    return join(this.execRoot, "e");
  }

  execDirectory(id: string): string {
    return join(this.execDirectories, id.slice(0, RUN_NAME_LENGTH));
  }
}
