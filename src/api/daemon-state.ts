import type { Engine, HostFacts, ImageStore, RegistryConfig } from "../engine/mod.ts";

/** What every handler may use. */
export interface Daemon {
  engine: Engine;
  images: ImageStore;
  host: HostFacts;
  registry: RegistryConfig;
}
