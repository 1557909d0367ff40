import type { DockerContainerConfig, DockerHostConfig } from "../../../src/spec/docker-api.ts";

/** One create body. Those with `docker` were also given to Docker 26.1.5, whose config.json lies in docker-26/. */
export interface ConfigCase {
  name: string;
  image: "plain" | "full";
  config: DockerContainerConfig;
  hostConfig: DockerHostConfig;
  /** False: the body means something else to Docker 26, or needs what the comparing machine had not. */
  docker: boolean;
  cgroup?: "unified" | "legacy" | "hybrid";
}

/** What the two images say; `full` has everything an image can set. */
export const IMAGES: Record<ConfigCase["image"], DockerContainerConfig> = {
  plain: { Env: ["FOO=img"], Cmd: ["sleep", "1000"] },
  full: {
    Env: ["FOO=img", "PATH=/bin"],
    Entrypoint: ["/bin/busybox"],
    Cmd: ["sleep", "1000"],
    Volumes: { "/vol": {} },
    User: "bob",
    WorkingDir: "/work",
    ExposedPorts: { "80/tcp": {} },
    StopSignal: "SIGQUIT",
    Labels: { from: "image" },
  },
};

const none = { NetworkMode: "none" };

export const CASES: ConfigCase[] = [
  { name: "machine", image: "plain", config: {}, hostConfig: { ...none, Runtime: "machine" }, docker: false },
  { name: "defaults", image: "plain", config: {}, hostConfig: none, docker: true },
  { name: "image-with-everything", image: "full", config: {}, hostConfig: none, docker: true },
  {
    name: "tty-env-hostname",
    image: "plain",
    config: {
      Tty: true,
      OpenStdin: true,
      Hostname: "web",
      Domainname: "example.org",
      Env: ["FOO=mine", "BAR=", "HOSTNAME=other"],
      WorkingDir: "/tmp/",
    },
    hostConfig: { ...none, ConsoleSize: [40, 120] },
    docker: true,
  },
  {
    name: "env-unset",
    image: "full",
    config: { Env: ["FOO", "HOME=/nowhere"] },
    hostConfig: none,
    docker: true,
  },
  {
    name: "entrypoint-clears-image-cmd",
    image: "full",
    config: { Entrypoint: ["sleep", "1000"], User: "0:44" },
    hostConfig: none,
    docker: true,
  },
  { name: "cmd-replaces-image-cmd", image: "full", config: { Cmd: ["sleep", "900"] }, hostConfig: none, docker: true },
  {
    name: "entrypoint-reset",
    image: "full",
    config: { Entrypoint: [""], Cmd: ["sleep", "900"] },
    hostConfig: none,
    docker: true,
  },
  {
    name: "memory-and-cpu",
    image: "plain",
    config: {},
    hostConfig: {
      ...none,
      Memory: 67108864,
      MemoryReservation: 33554432,
      NanoCpus: 1500000000,
      CpuShares: 512,
      CpusetCpus: "0-1",
      CpusetMems: "0",
      PidsLimit: 100,
      OomScoreAdj: 500,
      MemorySwappiness: 10,
      OomKillDisable: true,
    },
    docker: true,
  },
  {
    name: "quota-and-unlimited",
    image: "plain",
    config: {},
    hostConfig: { ...none, Memory: 67108864, MemorySwap: -1, CpuPeriod: 50000, CpuQuota: 25000, PidsLimit: -1 },
    docker: true,
  },
  {
    name: "memory-on-unified",
    image: "plain",
    config: {},
    hostConfig: { ...none, Memory: 67108864, MemorySwap: 134217728, MemorySwappiness: 10, OomKillDisable: true },
    docker: false,
    cgroup: "unified",
  },
  {
    name: "block-io",
    image: "plain",
    config: {},
    hostConfig: {
      ...none,
      BlkioWeight: 300,
      BlkioWeightDevice: [{ Path: "/dev/loop0", Weight: 200 }],
      BlkioDeviceReadBps: [{ Path: "/dev/loop0", Rate: 1048576 }],
      BlkioDeviceWriteBps: [{ Path: "/dev/loop1", Rate: 2097152 }],
      BlkioDeviceReadIOps: [{ Path: "/dev/loop0", Rate: 100 }],
      BlkioDeviceWriteIOps: [{ Path: "/dev/loop0", Rate: 200 }],
    },
    docker: true,
  },
  {
    name: "devices",
    image: "plain",
    config: {},
    hostConfig: {
      ...none,
      Devices: [
        { PathOnHost: "/dev/fuse", PathInContainer: "/dev/fuse", CgroupPermissions: "rwm" },
        { PathOnHost: "/dev/loop0", PathInContainer: "/dev/xvda", CgroupPermissions: "r" },
        { PathOnHost: "/dev/net", PathInContainer: "/dev/net", CgroupPermissions: "rw" },
      ],
      DeviceCgroupRules: ["c 1:3 rwm", "b 7:* r", "a *:* m"],
    },
    docker: true,
  },
  { name: "privileged", image: "plain", config: {}, hostConfig: { ...none, Privileged: true }, docker: true },
  {
    name: "privileged-read-only",
    image: "plain",
    config: {},
    hostConfig: { ...none, Privileged: true, ReadonlyRootfs: true, SecurityOpt: ["seccomp=unconfined"] },
    docker: true,
  },
  {
    name: "capabilities-add-drop",
    image: "plain",
    config: {},
    hostConfig: { ...none, CapAdd: ["NET_ADMIN", "CAP_SYS_PTRACE"], CapDrop: ["mknod", "CAP_CHOWN"] },
    docker: true,
  },
  {
    name: "capabilities-drop-all",
    image: "plain",
    config: {},
    hostConfig: { ...none, CapDrop: ["ALL"], CapAdd: ["NET_BIND_SERVICE"] },
    docker: true,
  },
  {
    name: "capabilities-add-all",
    image: "plain",
    config: {},
    hostConfig: { ...none, CapAdd: ["all"], CapDrop: ["SYS_ADMIN"] },
    docker: true,
  },
  {
    name: "security-options",
    image: "plain",
    config: {},
    hostConfig: {
      ...none,
      SecurityOpt: ["no-new-privileges:true", "seccomp=unconfined", "apparmor=unconfined", "label=disable"],
    },
    docker: true,
  },
  {
    name: "masked-paths-override",
    image: "plain",
    config: {},
    hostConfig: { ...none, MaskedPaths: [], ReadonlyPaths: ["/proc/sys"] },
    docker: true,
  },
  {
    name: "read-only-root",
    image: "plain",
    config: {},
    hostConfig: { ...none, ReadonlyRootfs: true, Tmpfs: { "/run": "", "/tmp": "size=64m,mode=1777,exec" } },
    docker: true,
  },
  {
    name: "binds",
    image: "plain",
    config: {},
    hostConfig: {
      ...none,
      Binds: ["/usr/share:/data/deep/er:ro", "/srv:/data", "/mnt:/mnt:rw,private", "/srv:/data/z:ro,z"],
    },
    docker: true,
  },
  {
    name: "mounts",
    image: "plain",
    config: {},
    hostConfig: {
      ...none,
      Mounts: [
        { Type: "bind", Source: "/srv", Target: "/one" },
        { Type: "bind", Source: "/srv", Target: "/two", ReadOnly: true },
        { Type: "bind", Source: "/srv", Target: "/three", BindOptions: { NonRecursive: true } },
        {
          Type: "bind",
          Source: "/srv",
          Target: "/four",
          ReadOnly: true,
          BindOptions: { ReadOnlyNonRecursive: true, Propagation: "private" },
        },
        { Type: "tmpfs", Target: "/five", TmpfsOptions: { SizeBytes: 65536, Mode: 448 } },
        { Type: "tmpfs", Target: "/six", ReadOnly: true },
      ],
    },
    docker: true,
  },
  {
    name: "mounts-over-defaults",
    image: "plain",
    config: {},
    hostConfig: {
      ...none,
      Binds: ["/srv:/sys/fs/cgroup:ro", "/etc/os-release:/etc/hosts:ro"],
      Tmpfs: { "/dev/shm": "size=1m" },
    },
    docker: true,
  },
  {
    name: "volumes",
    image: "full",
    config: { Volumes: { "/other": {} } },
    hostConfig: {
      ...none,
      Binds: ["named:/named:nocopy"],
      Mounts: [{ Type: "volume", Source: "second", Target: "/vol", ReadOnly: true }],
    },
    docker: true,
  },
  {
    name: "shared-propagation",
    image: "plain",
    config: {},
    hostConfig: { ...none, Binds: ["/mnt:/host:ro,rslave", "/dev:/hostdev:rshared"] },
    docker: false,
  },
  {
    name: "host-namespaces",
    image: "plain",
    config: {},
    hostConfig: {
      NetworkMode: "host",
      PidMode: "host",
      IpcMode: "host",
      UTSMode: "host",
      CgroupnsMode: "host",
      UsernsMode: "host",
    },
    docker: true,
  },
  {
    name: "shared-namespaces",
    image: "plain",
    config: {},
    hostConfig: { NetworkMode: "container:peer", PidMode: "container:peer", IpcMode: "container:peer" },
    docker: true,
  },
  { name: "ipc-none", image: "plain", config: {}, hostConfig: { ...none, IpcMode: "none" }, docker: true },
  {
    name: "ipc-shareable-shm",
    image: "plain",
    config: {},
    hostConfig: { ...none, IpcMode: "shareable", ShmSize: 1048576 },
    docker: true,
  },
  {
    name: "ulimits-sysctls",
    image: "plain",
    config: {},
    hostConfig: {
      ...none,
      Ulimits: [
        { Name: "nofile", Soft: 1024, Hard: 2048 },
        { Name: "core", Soft: 0, Hard: 0 },
      ],
      Sysctls: {
        "net.core.somaxconn": "1024",
        "kernel.msgmax": "65536",
        "net.ipv4.ip_unprivileged_port_start": "1024",
      },
    },
    docker: true,
  },
  {
    name: "ulimit-unlimited",
    image: "plain",
    config: {},
    hostConfig: { ...none, Ulimits: [{ Name: "core", Soft: -1, Hard: -1 }] },
    docker: true,
  },
  { name: "init", image: "full", config: {}, hostConfig: { ...none, Init: true }, docker: true },
  {
    name: "cgroup-parent-annotations",
    image: "plain",
    config: {},
    hostConfig: { ...none, CgroupParent: "/batch", Annotations: { "org.example.job": "7" } },
    docker: true,
  },
  {
    name: "private-cgroup-namespace",
    image: "plain",
    config: {},
    hostConfig: { ...none, CgroupnsMode: "private" },
    docker: true,
  },
];
