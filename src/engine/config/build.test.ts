import { expect, test } from "bun:test";
import { HYBRID_HOST, PROBE } from "../../../tests/golden/config/host.ts";
import { CONTAINER_ID, contextFor } from "../../../tests/golden/config/run-case.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { OciConfig } from "../../spec/oci-runtime.ts";
import { type BuildInput, buildOciConfig } from "./build.ts";
import type { HostFacts } from "./host.ts";
import { prepareContainer } from "./prepare.ts";

const FILES = {
  hosts: "/f/hosts",
  hostname: "/f/hostname",
  resolvConf: "/f/resolv.conf",
  host: "/f/host",
  bootId: "/f/boot_id",
};

function build(
  hostConfig: DockerHostConfig,
  changes: Partial<BuildInput> = {},
  config: DockerContainerConfig = {},
): OciConfig {
  const container = prepareContainer(
    { id: CONTAINER_ID, config: { Cmd: ["true"], ...config }, hostConfig: { NetworkMode: "none", ...hostConfig } },
    contextFor(changes.host),
  );
  return buildOciConfig({
    id: CONTAINER_ID,
    container,
    user: { uid: 0, gid: 0, additionalGids: [], home: "/root" },
    files: FILES,
    peers: {},
    host: HYBRID_HOST,
    probe: PROBE,
    ...changes,
  });
}

const mountOn = (config: OciConfig, destination: string) =>
  config.mounts?.find((mount) => mount.destination === destination);
const namespaces = (config: OciConfig) => config.linux?.namespaces?.map((namespace) => namespace.type);

test("all seven namespaces are the container's own unless it shares them", () => {
  expect(namespaces(build({}))).toEqual(["mount", "network", "uts", "pid", "ipc", "cgroup", "time"]);
  expect(namespaces(build({ Privileged: true }))).toContain("cgroup");
  expect(namespaces(build({}, { host: { ...HYBRID_HOST, timeNamespaces: false } }))).not.toContain("time");
});

test("a cgroup parent does not lead up", () => {
  for (const [CgroupParent, path] of [
    ["/a/../b", "/b/"],
    ["../../b/.", "b/"],
    ["..", ""],
    ["/..", "/"],
  ] as const)
    expect(build({ CgroupParent }).linux?.cgroupsPath).toBe(`${path}${CONTAINER_ID}`);
});

test("a bind that is a slave without having been asked for may be private", () => {
  expect(build({ Binds: ["/:/a"] }).linux?.rootfsPropagation).toBeUndefined();
  expect(() => build({ Binds: ["/:/a:rslave"] })).toThrow("it is not a shared or slave mount");
});

test("a namespace of a container that does not run cannot be joined", () => {
  for (const [hostConfig, type] of [
    [{ NetworkMode: "container:db" }, "network"],
    [{ PidMode: "container:db" }, "pid"],
  ] as const)
    expect(() => build(hostConfig)).toThrow(`cannot join the ${type} namespace of "db": it is not running`);
});

test("a container in another's network has its hostname", () => {
  const config = build({ NetworkMode: "container:db" }, { peers: { network: { pid: 7, hostname: "db1" } } });
  expect(config.hostname).toBe("db1");
  expect(config.process?.env).toContain("HOSTNAME=db1");
  expect(config.linux?.sysctl).toBeUndefined();
});

test("a /dev/shm that is shared is a file system that comes after those of volumes, or the host's own", () => {
  const peers = { ipc: { pid: 7 } };
  for (const IpcMode of ["shareable", "container:db"])
    expect(mountOn(build({ IpcMode }, { peers }), "/dev/shm")).toMatchObject({ type: "bind", filesystem: 0 });
  const ofHost = build({ IpcMode: "container:db" }, { peers: { ipc: { pid: 7, isHost: true } } });
  expect(mountOn(ofHost, "/dev/shm")).toEqual(mountOn(build({ IpcMode: "host" }), "/dev/shm"));
});

test("an init is only for a pid namespace of one's own, and must be there", () => {
  const files = { ...FILES, init: "/f/init" };
  expect(build({ Init: true }, { files }).process?.args).toEqual(["/sbin/docker-init", "--", "true"]);
  expect(build({ Init: true, PidMode: "host" }, { files }).process?.args).toEqual(["true"]);
  expect(() => build({ Init: true })).toThrow("HostConfig.Init: not supported");
});

test("/dev of one's own has no mounts of ours below it", () => {
  const config = build({ Binds: ["/dev:/dev"] });
  const below = config.mounts!.filter(({ destination }) => destination.startsWith("/dev"));
  expect(below).toEqual([{ destination: "/dev", type: "bind", source: "/dev", options: ["rbind", "rprivate"] }]);
});

test("hardware that shows its load is masked", () => {
  const host = { ...HYBRID_HOST, thermalThrottleCpus: [0, 3] };
  const prepared = { id: CONTAINER_ID, config: { Cmd: ["true"] }, hostConfig: { NetworkMode: "none" } };
  const config = build({}, { host, container: prepareContainer(prepared, contextFor(host)) });
  expect(config.linux?.maskedPaths?.slice(-2)).toEqual([
    "/sys/devices/system/cpu/cpu0/thermal_throttle",
    "/sys/devices/system/cpu/cpu3/thermal_throttle",
  ]);
});

test("systempaths=unconfined unmasks everything", () => {
  const { linux } = build({ SecurityOpt: ["systempaths=unconfined"] });
  expect([linux?.maskedPaths, linux?.readonlyPaths]).toEqual([undefined, undefined]);
});

test("the seccomp filter is Docker's, none, or the given one; privileged has none unless given", () => {
  const own = JSON.stringify({ defaultAction: "SCMP_ACT_LOG", syscalls: [] });
  const defaultAction = (hostConfig: DockerHostConfig) => build(hostConfig).linux?.seccomp?.defaultAction;
  expect(defaultAction({})).toBe("SCMP_ACT_ERRNO");
  expect(defaultAction({ Privileged: true })).toBeUndefined();
  expect(defaultAction({ Privileged: true, SecurityOpt: ["seccomp=builtin"] })).toBe("SCMP_ACT_ERRNO");
  for (const Privileged of [false, true]) {
    expect(defaultAction({ Privileged, SecurityOpt: ["seccomp=unconfined"] })).toBeUndefined();
    expect(defaultAction({ Privileged, SecurityOpt: [`seccomp=${own}`] })).toBe("SCMP_ACT_LOG");
  }
});

test("the AppArmor profile is the default, none if privileged, or the given one", () => {
  const profileOn = (appArmor: HostFacts["appArmor"], hostConfig: DockerHostConfig) =>
    build(hostConfig, { host: { ...HYBRID_HOST, appArmor } }).process?.apparmorProfile;
  const named = { SecurityOpt: ["apparmor=own"] };
  const unconfined = { SecurityOpt: ["apparmor:unconfined"] };
  for (const appArmor of [undefined, {}, { problem: "it cannot be loaded" }]) {
    expect(profileOn(appArmor, unconfined)).toBe(appArmor && "unconfined");
    expect(profileOn(appArmor, { Privileged: true })).toBe(appArmor && "unconfined");
  }
  expect(profileOn({}, {})).toBe("docker-default");
  expect(profileOn({}, { ...named, Privileged: true })).toBe("own");
  expect(profileOn({ problem: "it cannot be loaded" }, {})).toBeUndefined();
  expect(profileOn({ problem: "it cannot be loaded" }, named)).toBe("own");
  expect(profileOn(undefined, {})).toBeUndefined();
});

test("the default seccomp filter follows the capabilities", () => {
  const allows = (hostConfig: DockerHostConfig) =>
    build(hostConfig).linux?.seccomp?.syscalls?.some((rule) => rule.names.includes("mount"));
  expect(allows({})).toBe(false);
  expect(allows({ CapAdd: ["SYS_ADMIN"] })).toBe(true);
});

test("supplementary groups have the primary one first and none twice (CVE-2022-36109)", () => {
  const config = build({}, { user: { uid: 5, gid: 6, additionalGids: [7, 6, 7], home: "/" } });
  expect(config.process?.user).toEqual({ uid: 5, gid: 6, additionalGids: [6, 7] });
});

test("devices below a directory keep their place below the directory in the container", () => {
  const { linux } = build({ Devices: [{ PathOnHost: "/dev/cpu/", PathInContainer: "/dev/processors" }] });
  expect(linux?.devices?.map((device) => device.path)).toEqual(["/dev/processors/0/cpuid", "/dev/processors/1/cpuid"]);
});

test("a device that has gone since the create is an error of the start", () => {
  const gone = { ...PROBE, device: () => undefined, fileType: () => undefined };
  expect(() => build({ Devices: [{ PathOnHost: "/dev/loop0" }] }, { probe: gone })).toThrow(
    'custom device "/dev/loop0": no such file or directory',
  );
});

test("propagation needs a source that propagates", () => {
  expect(() => build({ Binds: ["/srv:/a:rshared"] })).toThrow("path /srv is mounted on / but it is not a shared mount");
  expect(() => build({ Binds: ["/srv:/a:slave"] })).toThrow(
    "path /srv is mounted on / but it is not a shared or slave mount",
  );
  expect(build({ Binds: ["/mnt:/a:slave"] }).linux?.rootfsPropagation).toBe("rslave");
  expect(build({ Binds: ["/mnt:/b:slave", "/dev:/a:shared"] }).linux?.rootfsPropagation).toBe("shared");
  expect(build({}).linux?.rootfsPropagation).toBeUndefined();
});

test("a cgroup parent is joined with one slash", () => {
  expect(build({ CgroupParent: "batch/" }).linux?.cgroupsPath).toBe(`batch/${CONTAINER_ID}`);
  expect(build({}).linux?.cgroupsPath).toBe(`/lighter/${CONTAINER_ID}`);
});
