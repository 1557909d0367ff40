/** A plugin for networks of pods that does nothing, and writes down what it is told. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface CniCall {
  plugin: string;
  pid: number;
  command: string;
  container: string;
  /** What the path of the namespace leads to; "" if there is none. */
  namespace: string;
  args: string;
  // biome-ignore lint/suspicious/noExplicitAny: a configuration may have anything
  config: any;
}

/** Plugins as programs, with their configuration, in a directory. */
export class CniPlugins {
  readonly binDirectory: string;
  readonly configDirectory: string;
  readonly #logPath: string;

  constructor(directory: string) {
    this.binDirectory = join(directory, "cni-bin");
    this.configDirectory = join(directory, "cni-conf");
    this.#logPath = join(directory, "cni-log");
    for (const path of [this.binDirectory, this.configDirectory]) mkdirSync(path, { recursive: true });
  }

  /**
   * Makes a plugin that answers an ADD with these addresses, and waits, fails, or says something else as long as a file
   * "hang-NAME-COMMAND", "fail-NAME-COMMAND" or "say-NAME-COMMAND" is there; the first two if its arguments have the file's text.
   * What it has made is a file "made-NAME-CONTAINER".
   */
  add(name: string, addresses: readonly string[]): void {
    const result = {
      cniVersion: "1.1.0",
      interfaces: [{ name: "cni0" }, { name: "eth0", sandbox: "/inside" }],
      ips: [{ address: "192.0.2.1/24", interface: 0 }, ...addresses.map((address) => ({ address, interface: 1 }))],
    };
    const script = `#!/bin/sh
config=$(cat | tr -d '\\n')
printf '{"plugin":"${name}","pid":'$$',"command":"%s","container":"%s","namespace":"%s","args":"%s","config":%s}\\n' \\
  "$CNI_COMMAND" "$CNI_CONTAINERID" "$(readlink "$CNI_NETNS")" "$CNI_ARGS" "$config" >> '${this.#logPath}'
concerns() {
  [ -e "$1" ] || return 1
  case "$CNI_ARGS" in *"$(cat "$1")"*) return 0;; esac
  return 1
}
while concerns '${this.binDirectory}/hang-${name}-'$CNI_COMMAND; do sleep 0.02; done
if concerns '${this.binDirectory}/fail-${name}-'$CNI_COMMAND; then
  echo '{"code": 50, "msg": "${name} refuses", "details": "as it was told"}'
  exit 1
fi
made='${this.binDirectory}/made-${name}-'$CNI_CONTAINERID
said='${this.binDirectory}/say-${name}-'$CNI_COMMAND
[ "$CNI_COMMAND" = ADD ] && touch "$made"
[ "$CNI_COMMAND" = DEL ] && rm -f "$made"
if [ -e "$said" ]; then cat "$said"
elif [ "$CNI_COMMAND" = ADD ]; then echo '${JSON.stringify(result)}'
fi
exit 0
`;
    writeFileSync(join(this.binDirectory, name), script);
    chmodSync(join(this.binDirectory, name), 0o755);
  }

  /** Writes the configuration. */
  configure(plugins: readonly object[], more: object = {}): void {
    const config = { cniVersion: "1.1.0", name: "pods", ...more, plugins };
    writeFileSync(join(this.configDirectory, "10-pods.conflist"), JSON.stringify(config));
  }

  /** The path of the file that makes a plugin fail. */
  failurePath(name: string, command: string): string {
    return join(this.binDirectory, `fail-${name}-${command}`);
  }

  /** The path of the file that makes a plugin wait. */
  hangPath(name: string, command: string): string {
    return join(this.binDirectory, `hang-${name}-${command}`);
  }

  /** The path of the file that a plugin writes out in place of its answer. */
  sayPath(name: string, command: string): string {
    return join(this.binDirectory, `say-${name}-${command}`);
  }

  /** What plugins have made and not removed. */
  get made(): string[] {
    return readdirSync(this.binDirectory).filter((name) => name.startsWith("made-"));
  }

  get calls(): CniCall[] {
    if (!existsSync(this.#logPath)) return [];
    return readFileSync(this.#logPath, "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line));
  }

  /** The calls about a container: "bridge ADD". */
  about(container: string): string[] {
    return this.calls
      .filter((call) => call.container === container)
      .map(({ plugin, command }) => `${plugin} ${command}`);
  }
}
