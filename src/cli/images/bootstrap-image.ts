/** Makes images of Debian or Ubuntu with the tools of this host, and imports them. */
import { existsSync } from "node:fs";
import { parseReference } from "../../spec/image-reference.ts";
import { CliError } from "../exit.ts";
import type { Client } from "../http/client.ts";
import {
  type BootstrapTool,
  bootstrapPlatform,
  checkBootstrapRequest,
  describeMissingKeyring,
  MACHINE_INIT,
  MACHINE_PACKAGES,
  parseBootstrapSource,
  planBootstrap,
} from "./bootstrap.ts";
import { Children } from "./children.ts";
import { importImage } from "./import-image.ts";

interface BootstrapOptions {
  readonly arch: string;
  readonly components: string;
  readonly include: readonly string[];
  readonly machine: boolean;
  readonly mirror: string;
  readonly variant: string;
}

/** The set of packages to begin with, unless somebody says otherwise. */
export const DEFAULT_VARIANT = "minbase";

/** The options of an image for machines. */
export const MACHINE_BOOTSTRAP: BootstrapOptions = {
  arch: "",
  components: "",
  include: [],
  machine: true,
  mirror: "",
  variant: DEFAULT_VARIANT,
};

/**
 * Makes the image `name` of `source` ("debian:trixie").
 * @throws CliError with what to install, LighterError for an option that is not valid
 */
export async function bootstrapImage(
  client: Client,
  source: string,
  name: string,
  { arch, components, include, machine, mirror, variant }: BootstrapOptions,
): Promise<void> {
  const request = {
    suite: parseBootstrapSource(source),
    variant,
    include: [...(machine ? MACHINE_PACKAGES : []), ...include].join(","),
    mirror,
    components,
    arch,
  };
  checkBootstrapRequest(request);
  parseReference(name);
  const tool = findTool();
  // Without the keys one tool goes on without checking signatures, the other fails with words about "NO_PUBKEY".
  const keysAreMissing = mirror === "" ? describeMissingKeyring(source, existsSync) : undefined;
  if (keysAreMissing !== undefined) throw new CliError(`bootstrap: ${keysAreMissing}`);
  await client.getText("/_ping"); // finds out that the daemon is missing before the work begins

  await using children = new Children("bootstrap");
  await importImage(client, {
    source: children.runAll(planBootstrap(tool, request, children.folder)),
    name,
    changes: [`CMD ${JSON.stringify([machine ? MACHINE_INIT : "bash"])}`],
    message: "",
    platform: bootstrapPlatform(arch),
  });
}

/** @throws CliError with what to install */
function findTool(): BootstrapTool {
  for (const tool of ["mmdebstrap", "debootstrap"] as const) if (Bun.which(tool) !== null) return tool;
  throw new CliError(
    "bootstrap needs mmdebstrap or debootstrap, and neither is installed. On Debian or Ubuntu: apt-get install mmdebstrap",
  );
}
