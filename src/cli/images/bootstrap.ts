/** Making a Debian or Ubuntu root file system with the tools of this host: what to run, decided here, run elsewhere. */
import { LighterError } from "../../base/errors.ts";

export type BootstrapTool = "mmdebstrap" | "debootstrap";

export interface BootstrapRequest {
  /** "trixie" */
  readonly suite: string;
  readonly variant: string;
  /** Package names, separated by commas; "" for none beyond the variant's. */
  readonly include: string;
  /** URI, "" for the tool's own default. */
  readonly mirror: string;
  /** Separated by commas, "" for the tool's own default. */
  readonly components: string;
  /** Debian's name ("arm64"), "" for the host's. */
  readonly arch: string;
}

const DISTRIBUTIONS = ["debian", "ubuntu"];

/** Where the keys that a distribution signs its archive with are, and the package that has them. */
const KEYRINGS: Readonly<Record<string, { readonly paths: readonly string[]; readonly package: string }>> = {
  debian: {
    paths: ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"],
    package: "debian-archive-keyring",
  },
  ubuntu: { paths: ["/usr/share/keyrings/ubuntu-archive-keyring.gpg"], package: "ubuntu-keyring" },
};

/** "debian:trixie": what is missing to know the distribution's archive from another; undefined if nothing is. */
export function describeMissingKeyring(source: string, exists: (path: string) => boolean): string | undefined {
  const distribution = source.split(":")[0] ?? "";
  const keyring = KEYRINGS[distribution];
  if (keyring === undefined || keyring.paths.some(exists)) return undefined;
  return `the keys of ${distribution}'s archive are not on this host (${keyring.paths[0]}): apt-get install ${keyring.package}`;
}

/** What may be in an argument of a child process: nothing that could be taken for another flag, a path or a command. */
const SHAPES: { readonly [K in keyof BootstrapRequest]: RegExp } = {
  suite: /^[a-z][a-z0-9.-]{0,63}$/,
  variant: /^[a-z]{1,32}$/,
  include: /^(?:[a-z0-9][a-z0-9+.-]*(?::[a-z0-9-]+)?(?:,(?!$)|$))*$/,
  mirror: /^(?:[a-z][a-z0-9+.-]*:[^\s,"'\\]+)?$/,
  components: /^(?:[a-z][a-z0-9/-]*(?:,(?!$)|$))*$/,
  arch: /^(?:[a-z0-9]+(?:-[a-z0-9]+)*)?$/,
};

/** "debian:trixie" → trixie. @throws LighterError ("invalid") */
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

/** The image's platform by Debian's name of the architecture; others are the same in both. */
const PLATFORMS: Readonly<Record<string, string>> = {
  armel: "linux/arm/v5",
  armhf: "linux/arm/v7",
  i386: "linux/386",
  mips64el: "linux/mips64le",
  ppc64el: "linux/ppc64le",
};

/** "" for the host's own. */
export function bootstrapPlatform(arch: string): string {
  return arch === "" ? "" : (PLATFORMS[arch] ?? `linux/${arch}`);
}

/** Not part of an image: devices, which every container gets new, and what a package manager can fetch again. */
const LEFT_OUT = ["./dev/*", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*_*"];

/** Commands to run one after the other; the last one's stdout is the tar archive. `folder` is empty and ours. */
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
  return [
    ["debootstrap", ...common, ...option("arch", arch), suite, root, ...mirrors],
    [
      "tar",
      "--numeric-owner",
      "--xattrs",
      "--one-file-system",
      ...LEFT_OUT.map((path) => `--exclude=${path}`),
      "-C",
      root,
      "-cf",
      "-",
      ".",
    ],
  ];
}
