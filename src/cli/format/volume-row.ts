/** The row of a volume, which `volume ls` and `system df -v` show. */
import { labelColumns } from "../values/labels.ts";
import type { Columns } from "./table.ts";
import { formatSize } from "./units.ts";

/** The API's Volume, with the fields that are shown. */
export interface Volume {
  readonly Name: string;
  readonly Driver: string;
  readonly Mountpoint: string;
  readonly Scope: string;
  readonly Labels?: Readonly<Record<string, string>> | null;
  /** Filled in by `system df` only; -1 where the daemon does not know. */
  readonly UsageData?: { readonly RefCount: number; readonly Size: number } | null;
}

/** Columns of `volume ls` and `system df -v`. Fields that only cluster volumes have are "N/A". */
export const volumeColumns: Columns<Volume> = {
  Availability: { heading: "AVAILABILITY", value: () => "N/A" },
  Driver: { heading: "DRIVER", value: ({ Driver }) => Driver },
  Group: { heading: "GROUP", value: () => "N/A" },
  ...labelColumns,
  Links: { heading: "LINKS", value: ({ UsageData }) => (UsageData ? String(UsageData.RefCount) : "N/A") },
  Mountpoint: { heading: "MOUNTPOINT", value: ({ Mountpoint }) => Mountpoint },
  Name: { heading: "VOLUME NAME", value: ({ Name }) => Name },
  Scope: { heading: "SCOPE", value: ({ Scope }) => Scope },
  Size: { heading: "SIZE", value: ({ UsageData }) => (UsageData ? formatSize(UsageData.Size) : "N/A") },
  Status: { heading: "STATUS", value: () => "N/A" },
};
