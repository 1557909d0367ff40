/** Parses mountinfo files. */

export interface MountinfoEntry {
  mountId: number;
  parentId: number;
  root: string;
  mountPoint: string;
  /** "rw,noatime" */
  options: string;
  /** "shared:2", "master:1" and others: how mounts propagate. */
  tags: string[];
  fsType: string;
  source: string;
  superOptions: string;
}

/**
 * Parses the lines of a mountinfo file; malformed lines are left out.
 * Source: proc_pid_mountinfo(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue".
 */
export function parseMountinfo(text: string): MountinfoEntry[] {
  const entries: MountinfoEntry[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    // There are any number of optional fields (master:1 …); "-" ends them.
    const separator = fields.indexOf("-", 6);
    const [mountId, parentId, , root, mountPoint, options = ""] = fields;
    const [fsType, source, superOptions] = fields.slice(separator + 1);
    if (separator === -1 || root === undefined || mountPoint === undefined || superOptions === undefined) continue;
    entries.push({
      mountId: Number(mountId),
      parentId: Number(parentId),
      root: unescapeOctal(root),
      mountPoint: unescapeOctal(mountPoint),
      options,
      tags: fields.slice(6, separator),
      fsType: fsType ?? "",
      source: unescapeOctal(source ?? ""),
      superOptions,
    });
  }
  return entries;
}

/** Space, tab, newline and backslash are written as \040 and so on. */
function unescapeOctal(text: string): string {
  if (!text.includes("\\")) return text; // nearly always, and a regular expression costs more than all else here
  return text.replace(/\\([0-3][0-7]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
