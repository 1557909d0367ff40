/**
 * Plans how a Debian or Ubuntu root file system is made with the tools of this host. The commands are decided here and
 * run by the caller.
 */
import { LighterError } from "../../base/errors.ts";

export type BootstrapTool = "mmdebstrap" | "debootstrap";

export interface BootstrapRequest {
  /** Name of the release, such as "trixie". */
  readonly suite: string;
  readonly variant: string;
  /** Package names, separated by commas; "" for none beyond the variant's. */
  readonly include: string;
  /** URI of the mirror, "" for the tool's own default. */
  readonly mirror: string;
  /** Names separated by commas, "" for the tool's own default. */
  readonly components: string;
  /** Debian's name of the architecture ("arm64"), "" for the host's. */
  readonly arch: string;
}

/**
 * Packages that make a machine of a minimal system: an init, the bus that its parts talk by, sessions of users who log in, and
 * programs that show and change the network and what runs.
 */
export const MACHINE_PACKAGES = ["systemd-sysv", "dbus", "libpam-systemd", "iproute2", "procps"];

/** The command of images for machines. Other engines take it for a sign that an init is to run, too. */
export const MACHINE_INIT = "/sbin/init";

const DISTRIBUTIONS = ["debian", "ubuntu"];

/** Files with the keys that a distribution signs its archive with, and the package that contains them. */
const KEYRINGS: Readonly<Record<string, { readonly paths: readonly string[]; readonly package: string }>> = {
  debian: {
    paths: ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"],
    package: "debian-archive-keyring",
  },
  ubuntu: { paths: ["/usr/share/keyrings/ubuntu-archive-keyring.gpg"], package: "ubuntu-keyring" },
};

/** Returns what is missing to verify the distribution's archive ("debian:trixie"), or undefined if nothing is. */
export function describeMissingKeyring(source: string, exists: (path: string) => boolean): string | undefined {
  const distribution = source.split(":")[0] ?? "";
  const keyring = KEYRINGS[distribution];
  if (keyring === undefined || keyring.paths.some(exists)) return undefined;
  return `the keys of ${distribution}'s archive are not on this host (${keyring.paths[0]}): apt-get install ${keyring.package}`;
}

/**
 * What an argument of a child process may look like: nothing that could be taken for another flag, a path or a command.
 */
const SHAPES: { readonly [K in keyof BootstrapRequest]: RegExp } = {
  suite: /^[a-z][a-z0-9.-]{0,63}$/,
  variant: /^[a-z]{1,32}$/,
  include: /^(?:[a-z0-9][a-z0-9+.-]*(?::[a-z0-9-]+)?(?:,(?!$)|$))*$/,
  mirror: /^(?:[a-z][a-z0-9+.-]*:[^\s,"'\\]+)?$/,
  components: /^(?:[a-z][a-z0-9/-]*(?:,(?!$)|$))*$/,
  arch: /^(?:[a-z0-9]+(?:-[a-z0-9]+)*)?$/,
};

/**
 * Returns the suite: "debian:trixie" → "trixie".
 * @throws LighterError ("invalid")
 */
export function parseBootstrapSource(source: string): string {
  const [distribution = "", suite, ...more] = source.split(":");
  if (!DISTRIBUTIONS.includes(distribution) || suite === undefined || more.length > 0)
    throw new LighterError(
      "invalid",
      `bootstrap ${JSON.stringify(source)}: expected DISTRIBUTION:SUITE, such as debian:trixie, of ${DISTRIBUTIONS.join(" or ")}`,
    );
  return suite;
}

/** @throws LighterError ("invalid") that names the field */
export function checkBootstrapRequest(request: BootstrapRequest): void {
  for (const [field, shape] of Object.entries(SHAPES)) {
    const value = request[field as keyof BootstrapRequest];
    if (!shape.test(value))
      throw new LighterError("invalid", `bootstrap: ${field} ${JSON.stringify(value)} is not valid`);
  }
}

/** Platforms of images by Debian's name of the architecture, where the two differ. */
const PLATFORMS: Readonly<Record<string, string>> = {
  armel: "linux/arm/v5",
  armhf: "linux/arm/v7",
  i386: "linux/386",
  mips64el: "linux/mips64le",
  ppc64el: "linux/ppc64le",
};

/** Returns the image's platform; `arch` is "" for the host's own. */
export function bootstrapPlatform(arch: string): string {
  return arch === "" ? "" : (PLATFORMS[arch] ?? `linux/${arch}`);
}

/** Files left out of the image: devices, which every container gets anew, and what a package manager can download. */
const LEFT_OUT = ["./dev/*", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*_*"];

/** Returns the commands to run in order; the last one's stdout is the tar archive. `folder` must be empty and ours. */
export function planBootstrap(tool: BootstrapTool, request: BootstrapRequest, folder: string): string[][] {
  const { suite, variant, include, mirror, components, arch } = request;
  const option = (name: string, value: string) => (value === "" ? [] : [`--${name}=${value}`]);
  const common = [`--variant=${variant}`, ...option("include", include), ...option("components", components)];
  const mirrors = mirror === "" ? [] : [mirror];
  if (tool === "mmdebstrap")
    return [
      [
        "mmdebstrap",
        ...common,
        ...option("architectures", arch),
        "--skip=output/dev",
        "--format=tar",
        suite,
        "-",
        ...mirrors,
      ],
    ];
  const root = `${folder}/root`;
  return [["debootstrap", ...common, ...option("arch", arch), suite, root, ...mirrors], packDirectory(root)];
}

/** Returns the command that writes a root directory as a tar archive. */
export function packDirectory(root: string): string[] {
  const excluded = LEFT_OUT.map((path) => `--exclude=${path}`);
  return ["tar", "--numeric-owner", "--xattrs", "--one-file-system", ...excluded, "-C", root, "-cf", "-", "."];
}
