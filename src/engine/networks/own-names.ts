/** Names of what a daemon makes on the host, different for each data root. */
import { createHash } from "node:crypto";

const DEFAULT_DATA_ROOT = "/var/lib/lighter";
/** With "lighter-" it fits into a link's name. */
const HASH_LENGTH = 7;

/** Returns the names of what is on the host and so has to differ between daemons; they come from the data root. */
export function ownNames(dataRoot: string): { bridge: string; table: string; mark: string } {
  const hash = createHash("sha256").update(dataRoot).digest("hex").slice(0, HASH_LENGTH);
  const isDefault = dataRoot === DEFAULT_DATA_ROOT;
  return {
    bridge: isDefault ? "lighter0" : `lighter-${hash}`,
    /** The name of the nf_tables table. */
    table: isDefault ? "lighter" : `lighter-${hash}`,
    /** The beginning of the alias of each link that is ours. */
    mark: `lighter ${hash}`,
  };
}
