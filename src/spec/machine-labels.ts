/** The labels by which any client says of a machine what Docker has no word for. */

const PREFIX = "io.lighter.machine.";

/**
 * The label of a container, machine or not, that says which limits it sees in /proc: "own", the default of machines, or "host",
 * that of others.
 */
export const VIEW_LABEL = "io.lighter.view";

/** The labels whose values are not for everybody who may look at the container. What follows a prefix is a name. */
export const SECRET_LABELS = {
  /** A credential: text. */
  credential: `${PREFIX}credential.`,
  /** A credential: base64. */
  binaryCredential: `${PREFIX}credential-binary.`,
  /** A part of cloud-init's seed, one of `CLOUD_INIT_PARTS`. */
  cloudInit: `${PREFIX}cloud-init.`,
} as const;

export const CLOUD_INIT_PARTS = ["user-data", "meta-data", "vendor-data", "network-config"] as const;

export type CloudInitPart = (typeof CLOUD_INIT_PARTS)[number];

export function isCloudInitPart(name: string): name is CloudInitPart {
  return (CLOUD_INIT_PARTS as readonly string[]).includes(name);
}

/** The labels of a machine's place when its host starts. */
export const BOOT_LABELS = {
  order: `${PREFIX}boot.order`,
  delay: `${PREFIX}boot.delay`,
  after: `${PREFIX}boot.after`,
} as const;

/** The label of a machine, "true" or "false", that is made for engines and user namespaces in it. */
export const NESTING_LABEL = `${PREFIX}nesting`;
