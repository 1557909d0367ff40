/** Where the user is: the part of the address after "#/". */
import { signal } from "@preact/signals";

function read(): readonly string[] {
  const path = /^#\/(.*)$/.exec(location.hash)?.[1] ?? "";
  return path.split("/").map(decode);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** ["container", ID, "logs"] */
export const route = signal<readonly string[]>([""]);

export function followAddress(): void {
  route.value = read();
  addEventListener("hashchange", () => {
    route.value = read();
  });
}

export function linkTo(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}
