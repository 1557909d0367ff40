/** What the handlers of Kubernetes' runtime interface share. */
import type { OpenedEngine } from "../engine/mod.ts";
import type { PodNetwork } from "./network.ts";

export interface Cri extends Pick<OpenedEngine, "engine" | "images" | "host"> {
  readonly network: PodNetwork;
  /** A reload replaces the registries. */
  readonly registries: () => OpenedEngine["registries"];
  readonly downloadAttempts: () => number;
}
