import {
  buildOciConfig,
  type HostFacts,
  type MountContext,
  type MountPoint,
  type PreparedContainer,
  parseCreateBody,
  prepareContainer,
  type ResolvedUser,
} from "../../../src/engine/config/mod.ts";
import type { OciConfig } from "../../../src/spec/oci-runtime.ts";
import { type ConfigCase, IMAGES } from "./cases.ts";
import { HYBRID_HOST, PROBE, UNIFIED_HOST } from "./host.ts";

export const CONTAINER_ID = `${"c0ffee".repeat(10)}c0de`;

/** The users of the images' /etc/passwd and /etc/group. */
const USERS: Record<string, ResolvedUser> = {
  "": { uid: 0, gid: 0, additionalGids: [], home: "/root" },
  bob: { uid: 1000, gid: 1000, additionalGids: [44], home: "/home/bob" },
  "0:44": { uid: 0, gid: 44, additionalGids: [], home: "/root" },
};

const MOUNT_POINTS_OF_ANOTHER: readonly MountPoint[] = [
  {
    type: "volume",
    destination: "/from-another",
    readOnly: false,
    source: "/volumes/another/_data",
    mode: "z",
    propagation: "",
    nonRecursive: false,
    shallowReadOnly: false,
    createSource: false,
    volume: { name: "another", anonymous: false, copyUp: true },
  },
];

export function contextFor(host: HostFacts = HYBRID_HOST): MountContext {
  return {
    host,
    probe: PROBE,
    volumePath: (name) => `/volumes/${name}/_data`,
    newVolumeName: () => "anonymous",
    dataRoot: "/var/lib/lighter",
    shallowReadOnly: false,
    imageOf: () => ({ id: "sha256:another" }),
    mountPointsOf: () => MOUNT_POINTS_OF_ANOTHER,
  };
}

/** A create request and its start, as the engine does them. */
export function runCase(testCase: ConfigCase): { prepared: PreparedContainer; oci: OciConfig } {
  const host = testCase.cgroup === "unified" ? UNIFIED_HOST : HYBRID_HOST;
  // Through JSON, as it comes from a client.
  const body = JSON.parse(JSON.stringify({ Image: "t", ...testCase.config, HostConfig: testCase.hostConfig }));
  const prepared = prepareContainer(
    { id: CONTAINER_ID, ...parseCreateBody(body), image: IMAGES[testCase.image] },
    contextFor(host),
  );
  const peer = { pid: 4242, hostname: "peer-host" };
  const oci = buildOciConfig({
    id: CONTAINER_ID,
    container: prepared,
    user: USERS[prepared.config.User ?? ""]!,
    files: {
      hosts: "/files/hosts",
      hostname: "/files/hostname",
      resolvConf: "/files/resolv.conf",
      host: "/files/host",
      bootId: "/files/boot_id",
      init: "/files/init",
    },
    peers: { network: peer, pid: peer, ipc: peer },
    host,
    probe: PROBE,
  });
  // The rules of the default profile have their own tests.
  if (oci.linux?.seccomp !== undefined) delete oci.linux.seccomp.syscalls;
  return { prepared, oci };
}
