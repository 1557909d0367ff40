/** A container's devices in the words of Docker's API. */
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import type { ContainerConfig } from "../pods.ts";

export function deviceSettings({ devices, cdiDevices, linux }: ContainerConfig): DockerHostConfig {
  const isPrivileged = linux?.securityContext?.privileged ?? false;
  const names = cdiDevices.map(({ name }) => name);
  return {
    // A privileged container has all of them already.
    Devices: isPrivileged
      ? []
      : devices.map(({ hostPath, containerPath, permissions }) => ({
          PathOnHost: hostPath,
          PathInContainer: containerPath,
          CgroupPermissions: permissions,
        })),
    DeviceRequests: names.length === 0 ? [] : [{ Driver: "cdi", DeviceIDs: names }],
  };
}
