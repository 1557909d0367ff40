import type { Engine, HostFacts, ImageStore, Registries } from "../engine/mod.ts";

/** What every handler may use. */
export interface Daemon {
  engine: Engine;
  images: ImageStore;
  registries: Registries;
  host: HostFacts;
}
