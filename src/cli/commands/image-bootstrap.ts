/** `image bootstrap`: makes a Debian or Ubuntu image with mmdebstrap or debootstrap of this host and imports it. */
import { type Context, defineCommand } from "../command.ts";
import { boolFlag, listFlag, type ParsedFlags, stringFlag } from "../flags.ts";
import { bootstrapImage, DEFAULT_VARIANT } from "../images/bootstrap-image.ts";

const flags = {
  arch: stringFlag("Architecture, by Debian's name (arm64); the host's by default"),
  components: stringFlag("Components of the archive (main,contrib); the tool's own by default"),
  include: listFlag("Packages to install too (a,b)"),
  machine: boolFlag("Make an image for machines: with systemd, a message bus, logins and network tools"),
  mirror: stringFlag("URI of the archive; the tool's own by default"),
  variant: stringFlag("Set of packages to begin with", { initial: DEFAULT_VARIANT }),
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
  await bootstrapImage(client, source, name, values);
  return 0;
}
