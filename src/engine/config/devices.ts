/** Turns Docker's device options into nodes and device rules. */
import { posix } from "node:path";
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { DeviceOfHost, OciDevice, OciDeviceRule } from "../../spec/oci-runtime.ts";
import { invalid } from "./errors.ts";
import type { HostDevice, HostProbe } from "./host.ts";

const allowCharacter = (major: number, minor: number): OciDeviceRule => ({
  allow: true,
  type: "c",
  major,
  minor,
  access: "rwm",
});

/** The device rules of Docker; a runtime adds those that the spec asks of every container (pts, ptmx, full, mknod). */
const DEFAULT_RULES: readonly OciDeviceRule[] = [
  { allow: false, access: "rwm" },
  allowCharacter(1, 5), // zero
  allowCharacter(1, 3), // null
  allowCharacter(1, 9), // urandom
  allowCharacter(1, 8), // random
  allowCharacter(5, 0), // tty
  allowCharacter(5, 1), // console
];

/**
 * Folders in /dev that are not copied into a privileged container, which has its own. Source: containerd pkg/oci utils_unix.go.
 */
const OWN_DEVICE_FOLDERS: readonly string[] = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"];

/**
 * Devices that are not copied either: a node /dev/ptmx would open terminals of the host's devpts, so a container's is a link to
 * pts/ptmx.
 */
const OWN_DEVICES: readonly string[] = ["/dev/console", "/dev/ptmx"];

/**
 * Plans `linux.devices` and `linux.resources.devices` from HostConfig.Devices, DeviceCgroupRules and Privileged.
 * @param areBound true if the container gets the host's own nodes, since only the host's root can make nodes
 * @throws LighterError "invalid"
 */
export function planDevices(
  hostConfig: DockerHostConfig,
  probe: HostProbe,
  areBound = false,
): { devices: OciDevice[]; rules: OciDeviceRule[] } {
  const mapped = planMappedDevices(hostConfig, probe, areBound);
  if (hostConfig.Privileged) {
    const own = probe
      .devicesBelow("/dev")
      .filter(({ path }) => !OWN_DEVICE_FOLDERS.includes(path.split("/")[2] ?? "") && !OWN_DEVICES.includes(path));
    const paths = new Set(own.map((device) => device.path));
    return {
      devices: [
        ...own.map((device) => toOciDevice(device, device.path)),
        ...mapped.devices.filter((device) => !paths.has(device.path)),
      ],
      rules: [{ allow: true, access: "rwm" }],
    };
  }
  return {
    devices: mapped.devices,
    rules: [...DEFAULT_RULES, ...mapped.rules, ...(hostConfig.DeviceCgroupRules ?? []).map(parseDeviceCgroupRule)],
  };
}

function planMappedDevices(
  hostConfig: DockerHostConfig,
  probe: HostProbe,
  areBound: boolean,
): { devices: OciDevice[]; rules: OciDeviceRule[] } {
  const devices: OciDevice[] = [];
  const rules: OciDeviceRule[] = [];
  for (const mapping of hostConfig.Devices ?? []) {
    const pathOnHost = mapping.PathOnHost ?? "";
    const pathInContainer = mapping.PathInContainer || pathOnHost;
    const access = parseAccess(mapping.CgroupPermissions || "rwm");
    if (!posix.isAbsolute(pathInContainer))
      throw invalid(`device ${JSON.stringify(pathInContainer)}: the path in the container must be absolute`);
    for (const [device, path] of findDevices(pathOnHost, pathInContainer, probe)) {
      const node = toOciDevice(device, path);
      const bound: DeviceOfHost = { ...node, hostPath: device.path };
      devices.push(areBound ? bound : node);
      rules.push({ allow: true, type: device.type, major: device.major, minor: device.minor, access });
    }
  }
  return { devices, rules };
}

/** Finds one device, or all below a directory, each with its path in the container. */
function findDevices(given: string, pathInContainer: string, probe: HostProbe): [HostDevice, string][] {
  const pathOnHost = given.replace(/(.)\/+$/, "$1");
  const device = probe.device(pathOnHost);
  if (device !== undefined) return [[device, posix.normalize(pathInContainer)]];
  const problem = (what: string) =>
    invalid(`error gathering device information while adding custom device ${JSON.stringify(given)}: ${what}`);
  const type = probe.fileType(pathOnHost);
  // These are Docker's words; `docker run` exits with 127 for them, as if the program were missing.
  if (type === undefined) throw problem("no such file or directory");
  if (type !== "directory") throw problem("not a device node");
  const below = probe.devicesBelow(pathOnHost);
  if (below.length === 0) throw problem("not a device node");
  return below.map((each) => [each, posix.normalize(`${pathInContainer}/${each.path.slice(pathOnHost.length)}`)]);
}

function toOciDevice(device: HostDevice, path: string): OciDevice {
  const { type, major, minor, mode, uid, gid } = device;
  return { path, type, major, minor, fileMode: mode, uid, gid };
}

/** Checks a device's access. @throws LighterError "invalid" if it is not one to three different letters of "rwm". */
function parseAccess(access: string): string {
  if (!/^[rwm]{1,3}$/.test(access) || new Set(access).size !== access.length)
    throw invalid(`invalid device mode: ${access}`);
  return access;
}

/** Parses a rule such as "c 13:* rwm". @throws LighterError "invalid", with Docker's text. */
export function parseDeviceCgroupRule(rule: string): OciDeviceRule {
  const match = /^([acb]) ([0-9]{1,10}|\*):([0-9]{1,10}|\*) ([rwm]{1,3})$/.exec(rule);
  if (match === null) throw invalid(`invalid device cgroup rule format: '${rule}'`);
  const number = (text: string) => (text === "*" ? -1 : Number(text));
  return { allow: true, type: match[1]!, major: number(match[2]!), minor: number(match[3]!), access: match[4]! };
}
