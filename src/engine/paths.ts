import { join } from "node:path";

/** Where a container's things are. */
export interface ContainerPaths {
  /** All that is kept: the paths below. Made at the first start. */
  directory: string;
  upper: string;
  work: string;
  hosts: string;
  hostname: string;
  resolvConf: string;
  log: string;
}

/** The engine's directories. `execRoot` is lost at a reboot, as are the processes it tells of. */
export class EnginePaths {
  constructor(
    readonly dataRoot: string,
    readonly execRoot: string,
  ) {}

  get database(): string {
    return join(this.dataRoot, "lighter.db");
  }

  get images(): string {
    return join(this.dataRoot, "image");
  }

  get containers(): string {
    return join(this.dataRoot, "containers");
  }

  get volumes(): string {
    return join(this.dataRoot, "volumes");
  }

  /** The program for `--init`. Here and not below execRoot: some systems mount /run without the right to execute. */
  get init(): string {
    return join(this.dataRoot, "init");
  }

  container(id: string): ContainerPaths {
    const directory = join(this.containers, id);
    return {
      directory,
      upper: join(directory, "upper"),
      work: join(directory, "work"),
      hosts: join(directory, "hosts"),
      hostname: join(directory, "hostname"),
      resolvConf: join(directory, "resolv.conf"),
      log: join(directory, `${id}-json.log`),
    };
  }

  // One letter each: a unix socket's path has 107 bytes, an id takes 64 of them and "/supervisor.sock" 16.

  get runDirectories(): string {
    return join(this.execRoot, "c");
  }

  runDirectory(id: string): string {
    return join(this.runDirectories, id);
  }

  get execDirectories(): string {
    return join(this.execRoot, "e");
  }

  execDirectory(id: string): string {
    return join(this.execDirectories, id);
  }
}
