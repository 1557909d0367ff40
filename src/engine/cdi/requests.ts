/** Finds out which devices of specs a container asks for. Pure. */
import { LighterError } from "../../base/errors.ts";
import { CDI_LIST_MAX } from "../../base/limits.ts";
import { isQualifiedCdiName } from "../../spec/cdi-name.ts";
import type { DockerContainerConfig, DockerDeviceRequest, DockerHostConfig } from "../../spec/docker-api.ts";

const NVIDIA_KIND = "nvidia.com/gpu";
/** The capabilities of Docker's driver for these devices. */
const NVIDIA_CAPABILITIES: readonly string[] = [
  ...["gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display"],
];
/** The variable that NVIDIA's runtime reads from a container. */
const VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES";

/**
 * Returns the names of the requested devices.
 * @param isNvidia true if the container's runtime is one of NVIDIA's
 * @param hasKind tells whether there are devices of a kind
 * @throws LighterError "invalid", with Docker's texts
 */
export function requestedDevices(
  { Env }: Pick<DockerContainerConfig, "Env">,
  { DeviceRequests }: Pick<DockerHostConfig, "DeviceRequests">,
  isNvidia: boolean,
  hasKind: (kind: string) => boolean,
): string[] {
  const asked = (DeviceRequests ?? []).flatMap((request) => devicesOf(request, hasKind));
  return [...new Set([...asked, ...(isNvidia ? visibleDevices(Env ?? []) : [])])];
}

function devicesOf(request: DockerDeviceRequest, hasKind: (kind: string) => boolean): string[] {
  const [driver, count, ids] = [request.Driver ?? "", request.Count ?? 0, request.DeviceIDs ?? []];
  const capabilities = request.Capabilities ?? [];
  if (driver === "cdi") {
    if (count !== 0) throw new LighterError("invalid", "unexpected count in CDI device request");
    if (ids.length === 0) throw new LighterError("invalid", "no devices requested");
    return ids;
  }
  const isNvidia = (driver === "" || driver === "nvidia") && capabilities.some(areOfNvidia);
  if (!isNvidia || !hasKind(NVIDIA_KIND)) throw cannotSelect(driver, capabilities);
  if (count !== 0 && ids.length > 0)
    throw new LighterError("invalid", "cannot set both Count and DeviceIDs on device request");
  if (ids.length > 0) return ids.map(nvidiaDevice);
  if (count > CDI_LIST_MAX)
    throw new LighterError("invalid", `device request: a count of ${count} is more than ${CDI_LIST_MAX}`);
  return count < 0 ? [nvidiaDevice("all")] : Array.from({ length: count }, (_, index) => nvidiaDevice(`${index}`));
}

function areOfNvidia(capabilities: readonly string[]): boolean {
  return capabilities.every((each) => NVIDIA_CAPABILITIES.includes(each));
}

function nvidiaDevice(id: string): string {
  return isQualifiedCdiName(id) ? id : `${NVIDIA_KIND}=${id}`;
}

function cannotSelect(driver: string, capabilities: readonly (readonly string[])[]): LighterError {
  const list = capabilities.map((each) => `[${each.join(" ")}]`).join(" ");
  return new LighterError(
    "invalid",
    `could not select device driver ${JSON.stringify(driver)} with capabilities: [${list}]`,
  );
}

function visibleDevices(env: readonly string[]): string[] {
  const variable = env.findLast((each) => each.startsWith(`${VISIBLE_DEVICES}=`));
  const value = variable?.slice(VISIBLE_DEVICES.length + 1) ?? "";
  if (["", "void", "none"].includes(value)) return [];
  return value
    .split(",")
    .filter((id) => id !== "")
    .map(nvidiaDevice);
}
