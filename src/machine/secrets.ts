/** What a machine is given that only its root is to see: credentials, and the seed of cloud-init. It comes in labels. */
import { LighterError } from "../base/errors.ts";
import { MACHINE_SECRETS_MAX_BYTES } from "../base/limits.ts";
import {
  CLOUD_INIT_PARTS,
  type CloudInitPart,
  isCloudInitPart,
  NESTING_LABEL,
  SECRET_LABELS,
} from "../spec/machine-labels.ts";
import { checkCloudInit } from "./cloud-init.ts";

export interface MachineSecrets {
  /** By name, in base64. */
  credentials: Record<string, string>;
  cloudInit: Partial<Record<CloudInitPart, string>>;
}

type Labels = Readonly<Record<string, string>>;

const PREFIXES = Object.values(SECRET_LABELS);

function isSecret(label: string): boolean {
  return PREFIXES.some((prefix) => label.startsWith(prefix));
}

/**
 * Returns an image's labels without those that only a user may give: secrets (those of a machine that it was made of are empty),
 * and what opens a machine further.
 */
export function labelsOfImage(labels: Labels): Record<string, string> {
  return Object.fromEntries(Object.entries(withoutSecrets(labels)).filter(([label]) => label !== NESTING_LABEL));
}

function withoutSecrets(labels: Labels): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).filter(([label]) => !isSecret(label)));
}

/** Tells whether a machine with these labels, as `takeSecrets` leaves them, was given any secrets, or any credentials. */
export function secretsNamedBy(labels: Labels): { any: boolean; credentials: boolean } {
  const names = Object.keys(labels);
  const { credential, binaryCredential } = SECRET_LABELS;
  return {
    any: names.some(isSecret),
    credentials: names.some((label) => label.startsWith(credential) || label.startsWith(binaryCredential)),
  };
}

/**
 * Takes the secrets out of a request's labels: those stay, with empty values. One that comes without a value is none.
 * @throws LighterError "invalid" for what an init could not read, naming the label
 */
export function takeSecrets(labels: Labels): { labels: Record<string, string>; secrets: MachineSecrets | undefined } {
  const secrets: MachineSecrets = { credentials: {}, cloudInit: {} };
  const left = withoutSecrets(labels);
  let bytes = 0;
  for (const [label, value] of Object.entries(labels)) {
    if (!isSecret(label) || value === "") continue;
    left[label] = "";
    bytes += take(secrets, label, value);
  }
  if (bytes > MACHINE_SECRETS_MAX_BYTES)
    throw invalid(`credentials and cloud-init's data have ${bytes} bytes, more than ${MACHINE_SECRETS_MAX_BYTES}`);
  const isEmpty = Object.keys(secrets.credentials).length + Object.keys(secrets.cloudInit).length === 0;
  return { labels: left, secrets: isEmpty ? undefined : secrets };
}

/** Puts the secret in its place, and returns its size. */
function take(secrets: MachineSecrets, label: string, value: string): number {
  const { credential, binaryCredential, cloudInit } = SECRET_LABELS;
  if (label.startsWith(cloudInit)) {
    const part = label.slice(cloudInit.length);
    if (!isCloudInitPart(part)) throw invalid(`label "${label}": the parts are ${CLOUD_INIT_PARTS.join(", ")}`);
    checkCloudInit(part, value);
    secrets.cloudInit[part] = value;
    return Buffer.byteLength(value);
  }
  const isBinary = label.startsWith(binaryCredential);
  const name = label.slice((isBinary ? binaryCredential : credential).length);
  if (!isCredentialName(name)) throw invalid(`label "${label}": "${name}" cannot be a credential's name`);
  if (Object.hasOwn(secrets.credentials, name))
    throw invalid(`label "${label}": there are two credentials of that name`);
  if (isBinary && !/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value))
    throw invalid(`label "${label}": the value is not base64`);
  const bytes = Buffer.from(value, isBinary ? "base64" : "utf8");
  secrets.credentials[name] = bytes.toString("base64");
  return bytes.length;
}

/** Tells whether systemd takes a credential's name: a file's, printable, and no list's. Source: systemd's credential_name_valid(). */
function isCredentialName(name: string): boolean {
  return /^[!-.0-9;-~]{1,255}$/.test(name) && name !== "." && name !== "..";
}

function invalid(message: string): LighterError {
  return new LighterError("invalid", message);
}
