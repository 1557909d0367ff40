/** The runtime's name in `HostConfig.Runtime` that makes a container a machine. */
export const MACHINE_RUNTIME = "machine";
