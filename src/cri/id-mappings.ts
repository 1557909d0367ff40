/** The ids of a pod's user namespace. */
import type { PodRecord } from "../engine/mod.ts";
import type { idMappingType, namespaceOptionType } from "../spec/cri/common.ts";
import type { MessageOf } from "../spec/protobuf.ts";
import { invalid } from "./errors.ts";
import { NODE, POD } from "./sandboxes/namespace-modes.ts";

type Mapping = MessageOf<typeof idMappingType>;

/** The mappings that kubelet asks for; undefined: the host's ids. @throws LighterError "invalid" */
export function idMappingsOf(
  options: MessageOf<typeof namespaceOptionType> | undefined,
): NonNullable<PodRecord["idMappings"]> | undefined {
  const asked = options?.usernsOptions;
  if (asked === undefined || asked.mode === NODE) return undefined;
  if (asked.mode !== POD) throw invalid(`unsupported user namespace mode ${asked.mode}`);
  return { uids: mappingOf("uid", asked.uids), gids: mappingOf("gid", asked.gids) };
}

function mappingOf(kind: string, mappings: readonly Mapping[]) {
  const [only, ...more] = mappings;
  if (only === undefined || more.length > 0 || only.containerId !== 0 || only.length <= 0)
    throw invalid(`a user namespace needs one ${kind} mapping, which begins at 0: there are ${mappings.length}`);
  return [{ containerID: only.containerId, hostID: only.hostId, size: only.length }];
}
