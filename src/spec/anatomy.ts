/** What `GET /lighter/containers/{id}/anatomy` answers: how the kernel keeps a running container apart. */
export interface Anatomy {
  pid: number;
  namespaces: { type: string; inode: string; sharedWithHost: boolean; sharedWith: { id: string; name: string }[] }[];
  /** One for each hierarchy of cgroups that the container has a place in; "" is that of version 2. */
  cgroups: { controllers: string; path: string; values: { file: string; value: string }[] }[];
  mounts: { target: string; type: string; source: string; root: string; options: string }[];
  idMaps: { kind: "uid" | "gid"; inside: number; outside: number; count: number }[];
  capabilities: { name: string; effective: boolean; bounding: boolean }[];
  seccomp: "none" | "strict" | "filter";
  /** What the filter does with the calls of this machine, the largest group first; "arguments": those decide. */
  seccompCalls: { action: string; calls: string[] }[];
  noNewPrivileges: boolean;
}
