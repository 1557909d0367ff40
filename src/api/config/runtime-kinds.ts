/** The kind of the setting `runtimes`. */
import { DAEMON_LIST_MAX } from "../../base/limits.ts";
import type { RuntimeEntry } from "../../engine/mod.ts";
import { anything, list, map, object, string } from "../../spec/reader.ts";
import { type Kind, splitPair } from "./kinds.ts";

const readEntry = object<RuntimeEntry>({
  path: string,
  runtimeArgs: list(string, DAEMON_LIST_MAX),
  runtimeType: string,
  options: map(anything, DAEMON_LIST_MAX),
});

/**
 * Runtimes as `{"nvidia": {"path": "nvidia-container-runtime", "runtimeArgs": []}}`, or as the flag
 * "nvidia=nvidia-container-runtime".
 */
export const runtimes: Kind<Record<string, RuntimeEntry>> = {
  value: "NAME=PATH",
  isMany: true,
  read: map(readEntry, DAEMON_LIST_MAX),
  parse: (given, name) =>
    Object.fromEntries(
      given.map((text) => {
        const [key, path] = splitPair(text, name);
        return [key, { path }];
      }),
    ),
};
