/** `image bootstrap`: makes a Debian or Ubuntu image with mmdebstrap or debootstrap of this host and imports it. */
import { existsSync } from "node:fs";
import { parseReference } from "../../spec/image-reference.ts";
import { type Context, defineCommand } from "../command.ts";
import { CliError } from "../exit.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import {
  type BootstrapTool,
  bootstrapPlatform,
  checkBootstrapRequest,
  describeMissingKeyring,
  MACHINE_INIT,
  MACHINE_PACKAGES,
  parseBootstrapSource,
  planBootstrap,
} from "../images/bootstrap.ts";
import { Children } from "../images/children.ts";
import { importImage } from "../images/import-image.ts";

const flags = {
  arch: stringFlag("Architecture, by Debian's name (arm64); the host's by default"),
  components: stringFlag("Components of the archive (main,contrib); the tool's own by default"),
  include: listFlag("Packages to install too (a,b)"),
  machine: boolFlag("Make an image for machines: with systemd, a message bus, logins and network tools"),
  mirror: stringFlag("URI of the archive; the tool's own by default"),
  variant: stringFlag("Set of packages to begin with", { initial: "minbase" }),
};

export const command = defineCommand({
  name: "image bootstrap",
  usage: "[OPTIONS] DISTRIBUTION:SUITE [NAME[:TAG]]",
  summary: "Make an image of Debian or Ubuntu with mmdebstrap or debootstrap of this host (debian:trixie)",
  flags,
  args: { min: 1, max: 2 },
  run,
});

async function run({ client }: Context, { values, args }: ParsedFlags<typeof flags>): Promise<number> {
  const [source = "", name = source] = args;
  const { arch, components, machine, mirror, variant } = values;
  const request = {
    suite: parseBootstrapSource(source),
    variant,
    include: [...(machine ? MACHINE_PACKAGES : []), ...values.include].join(","),
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
  return 0;
}

/** @throws CliError with what to install */
function findTool(): BootstrapTool {
  for (const tool of ["mmdebstrap", "debootstrap"] as const) if (Bun.which(tool) !== null) return tool;
  throw new CliError(
    "bootstrap needs mmdebstrap or debootstrap, and neither is installed. On Debian or Ubuntu: apt-get install mmdebstrap",
  );
}
