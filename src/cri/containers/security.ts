/** A container's security context in the words of Docker's API. */
import { readFileSync } from "node:fs";
import { messageOf } from "../../base/errors.ts";
import type { securityProfileType } from "../../spec/cri/common.ts";
import type { linuxContainerSecurityContextType } from "../../spec/cri/containers.ts";
import type { DockerContainerConfig, DockerHostConfig } from "../../spec/docker-api.ts";
import type { MessageOf } from "../../spec/protobuf.ts";
import { invalid } from "../errors.ts";

type SecurityContext = MessageOf<typeof linuxContainerSecurityContextType>;

/** The kinds of a profile. Source: SecurityProfile.ProfileType in api.proto. */
const RUNTIME_DEFAULT = 0;
const LOCALHOST = 2;

/** The user: "UID[:GID]" or "NAME[:GID]"; none is the image's. */
export function userSettings(context: SecurityContext | undefined): Pick<DockerContainerConfig, "User"> {
  if (context === undefined) return {};
  const { runAsUser, runAsUsername, runAsGroup } = context;
  for (const id of [runAsUser?.value, runAsGroup?.value, ...context.supplementalGroups]) checkId(id ?? 0);
  const user = runAsUser === undefined ? runAsUsername : String(runAsUser.value);
  if (runAsGroup === undefined) return user === "" ? {} : { User: user };
  if (user === "") throw invalid("user group is specified without user");
  return { User: `${user}:${runAsGroup.value}` };
}

/** Refuses ids of more than 31 bits, as images' files do. */
function checkId(id: number): void {
  if (id < 0 || id !== (id | 0)) throw invalid(`the id ${id} is out of range`);
}

export function securitySettings(context: SecurityContext | undefined): DockerHostConfig {
  if (context === undefined) return {};
  const { capabilities, privileged, supplementalGroups } = context;
  return {
    Privileged: privileged,
    ReadonlyRootfs: context.readonlyRootfs,
    GroupAdd: supplementalGroups.map(String),
    CapAdd: [...(capabilities?.addCapabilities ?? []), ...ambientCapabilities(context)],
    CapDrop: capabilities?.dropCapabilities ?? [],
    SecurityOpt: [
      ...(context.noNewPrivs ? ["no-new-privileges"] : []),
      `seccomp=${privileged ? "unconfined" : seccompOf(context.seccomp, context.seccompProfilePath)}`,
      ...appArmorOf(context.apparmor, context.apparmorProfile),
    ],
    // Whoever gives lists means them, even empty ones: nothing is masked then.
    ...(privileged ? {} : { MaskedPaths: context.maskedPaths, ReadonlyPaths: context.readonlyPaths }),
  };
}

/** The names of the capabilities that a program keeps across execve(2) as any user. The container has them in any case. */
export function ambientCapabilities(context: SecurityContext | undefined): string[] {
  return context?.capabilities?.addAmbientCapabilities ?? [];
}

type Profile = MessageOf<typeof securityProfileType> | undefined;

/** The profile, or its name in the form that kubelet sent before there were kinds. */
function seccompOf(profile: Profile, path: string): string {
  if (profile?.profileType === RUNTIME_DEFAULT || (profile === undefined && isDefaultName(path))) return "builtin";
  if (profile?.profileType === LOCALHOST) return readProfile(profile.localhostRef);
  if (profile === undefined && path.startsWith("localhost/")) return readProfile(path.slice("localhost/".length));
  return "unconfined";
}

function isDefaultName(name: string): boolean {
  return name === "runtime/default" || name === "docker/default";
}

function readProfile(path: string): string {
  if (!path.startsWith("/")) throw invalid(`the seccomp profile ${JSON.stringify(path)} is not an absolute path`);
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw invalid(`failed to load local seccomp profile ${JSON.stringify(path)}: ${messageOf(error)}`);
  }
}

function appArmorOf(profile: Profile, name: string): string[] {
  const local = profile?.profileType === LOCALHOST ? profile.localhostRef : name.replace(/^localhost\//, "");
  const isNamed = profile?.profileType === LOCALHOST || (profile === undefined && name.startsWith("localhost/"));
  if (isNamed) return [`apparmor=${local}`];
  if (profile?.profileType === RUNTIME_DEFAULT || (profile === undefined && name !== "unconfined")) return [];
  return ["apparmor=unconfined"];
}
