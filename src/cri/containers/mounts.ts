/** A container's mounts in the words of Docker's API. */
import { posix } from "node:path";
import type { mountType } from "../../spec/cri/common.ts";
import type { DockerHostConfig, DockerMount } from "../../spec/docker-api.ts";
import type { MessageOf } from "../../spec/protobuf.ts";
import { invalid } from "../errors.ts";

type Mount = MessageOf<typeof mountType>;

/** By number. Source: MountPropagation in api.proto. */
const PROPAGATIONS = ["rprivate", "rslave", "rshared"] as const;

export function mountSettings(mounts: readonly Mount[]): Pick<DockerHostConfig, "Mounts"> {
  // Of two at one place the later one is seen, as it would be on top.
  const last = new Map(mounts.map((mount) => [mount.containerPath.replace(/(?<=.)\/+$/, ""), mount]));
  return { Mounts: [...last.values()].map(toMount) };
}

/** The destinations of mounts whose files have the owners that the pod sees. */
export function mappedDestinations(mounts: readonly Mount[]): string[] {
  return mounts
    .filter(({ uidmappings, gidmappings }) => uidmappings.length + gidmappings.length > 0)
    .map(({ containerPath }) => posix.normalize(containerPath).replace(/(?<=.)\/$/, ""));
}

function toMount(mount: Mount): DockerMount {
  const { containerPath, hostPath, readonly, recursiveReadOnly, propagation } = mount;
  const where = JSON.stringify(containerPath);
  if (mount.image !== undefined) {
    if (hostPath !== "") throw invalid(`mount ${where}: it has both an image and a host path`);
    const { imageSubPath } = mount;
    return {
      ...{ Type: "image", Target: containerPath, Source: mount.image.image, ReadOnly: true },
      ...(imageSubPath === "" ? {} : { ImageOptions: { Subpath: imageSubPath } }),
    };
  }
  if (recursiveReadOnly && !readonly) throw invalid(`mount ${where}: recursive_read_only requires readonly`);
  if (recursiveReadOnly && propagation !== 0)
    throw invalid(`mount ${where}: recursive_read_only requires private propagation`);
  const kind = PROPAGATIONS[propagation];
  if (kind === undefined) throw invalid(`mount ${where}: there is no propagation ${propagation}`);
  return {
    Type: "bind",
    Target: containerPath,
    Source: hostPath,
    ReadOnly: readonly,
    BindOptions: { Propagation: kind, ...(readonly && !recursiveReadOnly ? { ReadOnlyNonRecursive: true } : {}) },
  };
}
