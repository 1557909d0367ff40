/** node:path, for POSIX paths. */
const parts = (path: string) => path.split("/");

/** Removes ".", "..", and empty parts. A relative path keeps ".." at its beginning. */
export function normalize(path: string): string {
  const absolute = path.startsWith("/");
  const kept: string[] = [];
  for (const part of parts(path)) {
    if (part === "" || part === ".") continue;
    if (part !== "..") kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== "..") kept.pop();
    else if (!absolute) kept.push(part);
  }
  const text = kept.join("/");
  const slash = path.endsWith("/") && text !== "" ? "/" : "";
  if (absolute) return `/${text}${slash}`;
  return text === "" ? (path.endsWith("/") && path !== "" ? "./" : ".") : text + slash;
}

export function join(...paths: string[]): string {
  const joined = paths.filter((path) => path !== "").join("/");
  return joined === "" ? "." : normalize(joined);
}

export function resolve(...paths: string[]): string {
  let path = "";
  for (let i = paths.length - 1; i >= 0 && !path.startsWith("/"); i--)
    if (paths[i] !== "") path = path === "" ? paths[i]! : `${paths[i]}/${path}`;
  if (!path.startsWith("/")) path = `${process.cwd()}/${path}`;
  const whole = normalize(path);
  return whole.length > 1 && whole.endsWith("/") ? whole.slice(0, -1) : whole;
}

export function isAbsolute(path: string): boolean {
  return path.startsWith("/");
}

export function dirname(path: string): string {
  if (path === "") return ".";
  const bare = path.replace(/(?!^)\/+$/, "");
  const at = bare.lastIndexOf("/");
  if (at === -1) return ".";
  const directory = bare.slice(0, at).replace(/\/+$/, "");
  return directory === "" ? (path.startsWith("//") && !path.startsWith("///") && at === 1 ? "//" : "/") : directory;
}

export function basename(path: string, suffix = ""): string {
  const bare = path.replace(/\/+$/, "");
  const name = bare.slice(bare.lastIndexOf("/") + 1);
  return suffix !== "" && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name;
}

export function relative(from: string, to: string): string {
  const [source, target] = [from, to].map((path) => parts(resolve(path)).filter((part) => part !== ""));
  let same = 0;
  while (same < source!.length && same < target!.length && source![same] === target![same]) same++;
  return [...source!.slice(same).map(() => ".."), ...target!.slice(same)].join("/");
}

export const posix = { normalize, join, resolve, isAbsolute, dirname, basename, relative };
export default posix;
