/** What builds here, as BuildKit's API lists it. */
import { VERSION } from "../../base/version.ts";
import { hostGatewayOf } from "../../engine/mod.ts";
import { HOST_PLATFORM } from "../../spec/platform.ts";
import type { Daemon } from "../daemon/daemon-state.ts";

/** The version of BuildKit's API that clients may expect. They compare it as text, so its form is BuildKit's. */
export const BUILDKIT_VERSION = {
  package: "github.com/moby/buildkit",
  version: "v0.13.2",
  revision: `lighter-${VERSION}`,
};

/** The one worker: this daemon. */
export function workers({ engine }: Daemon) {
  const { os, architecture, variant = "" } = HOST_PLATFORM;
  const gateway = hostGatewayOf(engine.networks);
  return [
    {
      id: engine.id,
      labels: new Map([
        ["org.mobyproject.buildkit.worker.executor", "lighter"],
        // By its presence buildx knows that a daemon has exporters of archives, and builds for several platforms.
        ["org.mobyproject.buildkit.worker.snapshotter", "overlayfs"],
        // What "host-gateway" is, for a client that puts it into --add-host by itself.
        ...(gateway === undefined ? [] : [["org.mobyproject.buildkit.worker.moby.host-gateway-ip", gateway] as const]),
      ]),
      platforms: [{ os, architecture, variant }],
      buildkitVersion: BUILDKIT_VERSION,
    },
  ];
}
