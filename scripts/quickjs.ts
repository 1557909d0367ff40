/** Finds Debian's libquickjs. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";

interface QuickJs {
  library: string;
}

export function findQuickJs(): QuickJs | undefined {
  const multiarch = spawnSync("cc", ["-print-multiarch"], { encoding: "utf8" }).stdout?.trim() ?? "";
  const library = `/usr/lib/${multiarch}/quickjs/libquickjs.a`;
  return existsSync("/usr/include/quickjs/quickjs.h") && existsSync(library) ? { library } : undefined;
}
