/** What the handlers of Kubernetes' runtime interface share. */
import type { OpenedEngine } from "../engine/mod.ts";
import type { PodNetwork } from "./network.ts";
import type { StreamingServer } from "./streaming/server.ts";

export interface Cri extends Pick<OpenedEngine, "engine" | "images" | "host"> {
  readonly network: PodNetwork;
  readonly streaming: Pick<StreamingServer, "urlFor">;
  /** A reload replaces the registries. */
  readonly registries: () => OpenedEngine["registries"];
  readonly downloadAttempts: () => number;
  readonly cgroupDriver: "cgroupfs" | "systemd";
}
