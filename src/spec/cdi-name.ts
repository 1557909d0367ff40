/** Names of devices of the Container Device Interface: "vendor.com/class=name". Source: its SPEC.md, "Naming". */

const KIND = /^[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?\/[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?$/;
const DEVICE_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?$/;
const NAME_MAX_CHARS = 256;

/** Whether a text is a kind of devices, such as "vendor.com/class". */
export function isCdiKind(text: string): boolean {
  return text.length <= 2 * NAME_MAX_CHARS && KIND.test(text);
}

export function isCdiDeviceName(text: string): boolean {
  return text.length <= NAME_MAX_CHARS && DEVICE_NAME.test(text);
}

export function isQualifiedCdiName(text: string): boolean {
  const at = text.indexOf("=");
  return at > 0 && isCdiKind(text.slice(0, at)) && isCdiDeviceName(text.slice(at + 1));
}
