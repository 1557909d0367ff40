/** Gives containers their ids on the host. */
import { LighterError } from "../../base/errors.ts";
import { peerReferences } from "../config/namespaces.ts";
import { parseUsernsMode, validateInUserNamespace } from "../config/userns-mode.ts";
import type { ContainerRecord, PodRecord } from "../state/record.ts";
import { type IdMappings, sameMappings } from "./id-mappings.ts";
import { allocate, isWithin } from "./id-pool.ts";
import { DEFAULT_COUNT, type UserNamespaceSetting } from "./remap.ts";

export type { IdMappings } from "./id-mappings.ts";
export { parseRemap, readAccountFiles, type UserNamespaceSetting } from "./remap.ts";

type Asked = Pick<ContainerRecord, "id" | "hostConfig" | "idMappings" | "pod">;

/**
 * The ids of all containers. A container has them from its creation until its row is gone, so that no process and no file of it
 * is left when another one gets them. They are written in the row; this class is asked for a free range.
 */
export class UserNamespaces {
  readonly #setting: UserNamespaceSetting;
  readonly #find: (ref: string) => { record: ContainerRecord };
  readonly #taken = new Map<string, IdMappings>();

  /** Opens the ids. `find`: another container, by a name or id of a namespace mode. */
  constructor(setting: UserNamespaceSetting, find: (ref: string) => { record: ContainerRecord }) {
    this.#setting = setting;
    this.#find = find;
  }

  /** True if containers that do not say are in a user namespace. */
  get isDefault(): boolean {
    return this.#setting.defaultMode.kind !== "host";
  }

  /** Takes the ids of a row that exists already. */
  claim({ id, idMappings }: Pick<ContainerRecord, "id" | "idMappings">): void {
    if (idMappings === null) this.#taken.delete(id);
    else this.#taken.set(id, idMappings);
  }

  release(id: string): void {
    this.#taken.delete(id);
  }

  /**
   * Returns the ids of a container that is created, or started: those it has, if they are still right. Null: the host's. They are
   * its own when they are in its row and `claim`ed.
   * @throws LighterError "unavailable" when there are no more; "conflict" if it may not be with those whose namespaces it shares
   */
  assign(container: Asked): IdMappings | null {
    if (container.pod !== undefined) return ofPod(container.pod, container.hostConfig);
    const mode = parseUsernsMode(container.hostConfig.UsernsMode);
    const { defaultMode, pool } = this.#setting;
    if (mode.kind === "host" || (mode.kind === "default" && defaultMode.kind === "host")) return null;
    validateInUserNamespace(container.hostConfig);
    const shared = this.#ofPeers(container);
    if (shared !== undefined) return shared;
    if (mode.kind === "default" && defaultMode.kind === "mapped") return defaultMode.mappings;
    const count = (mode.kind === "auto" ? mode.count : undefined) ?? DEFAULT_COUNT;
    const others = [...this.#taken].flatMap(([id, mappings]) => (id === container.id ? [] : [mappings]));
    const { idMappings } = container;
    if (idMappings !== null && idMappings.uids[0]!.size === count && isWithin(idMappings, pool)) return idMappings;
    return allocate(pool, others, count);
  }

  /**
   * Returns the ids of a container's peers. A namespace is shared within one user namespace only: without rights over it nothing
   * could be done in it.
   */
  #ofPeers({ hostConfig }: Asked): IdMappings | undefined {
    const { network, pid, ipc } = peerReferences(hostConfig);
    const refs = [network, pid, ipc].filter((ref) => ref !== undefined);
    const mappings = refs.map((ref) => this.#find(ref).record.idMappings);
    const [first] = mappings;
    if (first === undefined) return undefined;
    if (first === null)
      throw new LighterError(
        "conflict",
        `cannot share namespaces of "${refs[0]}", which has the host's user namespace`,
        {
          hint: "use --userns=host",
        },
      );
    if (mappings.some((each) => !sameMappings(each, first)))
      throw new LighterError("conflict", "cannot share namespaces of containers in different user namespaces");
    return first;
  }
}

/** Kubelet gives each pod its ids, whatever the daemon's setting is. */
function ofPod({ idMappings }: PodRecord, hostConfig: ContainerRecord["hostConfig"]): IdMappings | null {
  if (idMappings === undefined) return null;
  validateInUserNamespace(hostConfig);
  return idMappings;
}
