/** The programs that are in the executable: files by a name that no path has. */
const files = new Map<string, Uint8Array>();

/** Returns the path by which `readFileSync` finds the bytes. */
export function embed(name: string, bytes: Uint8Array): string {
  const path = `embedded:${name}`;
  files.set(path, bytes);
  return path;
}

export function embeddedFile(path: unknown): Uint8Array | undefined {
  return typeof path === "string" ? files.get(path) : undefined;
}
