/** Reads the user namespace mode of a container. */
import type { DockerHostConfig } from "../../spec/docker-api.ts";
import { invalid, notSupported } from "./errors.ts";
import { parseNetworkMode, parsePidMode } from "./namespaces.ts";

/** The meaning of `HostConfig.UsernsMode`. */
export type UsernsMode =
  /** The daemon's setting. */
  | { kind: "default" }
  | { kind: "host" }
  /** A range of ids of the container's own: so many, or the usual number. */
  | { kind: "auto"; count: number | undefined };

/**
 * Parses the mode. Docker knows "" and "host", Podman the others. @throws LighterError "invalid"; "not-supported" for some of
 * Podman's options
 */
export function parseUsernsMode(mode: string | null | undefined): UsernsMode {
  if (!mode) return { kind: "default" };
  if (mode === "host") return { kind: "host" };
  const [kind, ...rest] = mode.split(":");
  if (kind !== "auto") throw invalid(`invalid user namespace mode: ${mode}`);
  let count: number | undefined;
  for (const option of rest.length === 0 ? [] : rest.join(":").split(",")) {
    const [name = "", value = ""] = option.split(/=(.*)/s);
    if (name !== "size") throw notSupported(`HostConfig.UsernsMode "${mode}"`, `there is the option "size" only`);
    count = Number(value);
    if (!/^\d{1,10}$/.test(value) || count === 0) throw invalid(`invalid user namespace mode: ${mode}: bad size`);
  }
  return { kind: "auto", count };
}

/** Refuses what a container in a user namespace cannot have. @throws LighterError "invalid", with Docker's texts */
export function validateInUserNamespace(hostConfig: DockerHostConfig): void {
  if (hostConfig.Privileged)
    throw invalid(
      "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace when running privileged mode",
    );
  if (parseNetworkMode(hostConfig.NetworkMode).kind === "host")
    throw invalid("cannot share the host's network namespace when user namespaces are enabled");
  if (parsePidMode(hostConfig.PidMode).kind === "host")
    throw invalid("cannot share the host PID namespace when user namespaces are enabled");
}
