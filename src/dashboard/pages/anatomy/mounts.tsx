/** The mounts: the root, what comes from the host, and what the kernel shows. */
import type { Anatomy } from "../../../spec/anatomy.ts";
import { plain } from "../../format.ts";
import { Panel } from "../../parts/basics.tsx";

type Mount = Anatomy["mounts"][number];

/** File systems without files of their own. */
const OF_KERNEL = new Set(["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "devtmpfs", "debugfs", "bpf"]);

/** Files are hidden by the device null, directories by an empty one that nothing is written to. */
function isMask({ target, type, root, options }: Mount): boolean {
  return type === "tmpfs" && (root === "/null" || (/^\/(proc|sys)\//.test(target) && isReadOnly(options)));
}

const isReadOnly = (options: string) => /(^|,)ro(,|$)/.test(options);

/** The first that holds a mount has it. */
const GROUPS: readonly [title: string, holds: (mount: Mount) => boolean][] = [
  ["Its root", ({ target }) => target === "/"],
  ["Hidden from it", isMask],
  ["In memory", ({ type, root }) => type === "tmpfs" && root === "/"],
  ["Of the kernel", ({ type }) => OF_KERNEL.has(type)],
  ["From the host", () => true],
];

export function Mounts({ answer: { mounts } }: { answer: Anatomy }) {
  const groups = new Map<string, Mount[]>(GROUPS.map(([title]) => [title, []]));
  for (const mount of mounts) groups.get(GROUPS.find(([, holds]) => holds(mount))![0])!.push(mount);
  return (
    <Panel title={`${mounts.length} mounts`}>
      {["Its root", "From the host", "In memory", "Hidden from it", "Of the kernel"].map((title) => (
        <Group key={title} title={title} mounts={groups.get(title)!} />
      ))}
    </Panel>
  );
}

function Group({ title, mounts }: { title: string; mounts: readonly Mount[] }) {
  if (mounts.length === 0) return null;
  return (
    <details class="fold" open={title === "Its root" || title === "From the host"}>
      <summary>
        {title} <span class="muted">{mounts.length}</span>
      </summary>
      <div class="scrolls" tabIndex={0}>
        <table class="list">
          <thead>
            <tr>
              <th scope="col">On</th>
              <th scope="col">Type</th>
              <th scope="col">Source</th>
              <th scope="col">May be</th>
            </tr>
          </thead>
          <tbody>
            {mounts.map(({ target, type, source, root, options }, index) => (
              <tr key={index}>
                <th scope="row">
                  <code>{plain(target, 80)}</code>
                </th>
                <td>{type}</td>
                <td>
                  <code>{plain(root === "/" ? source : `${source}:${root}`, 80)}</code>
                </td>
                <td title={plain(options)}>{isReadOnly(options) ? "read" : "read and written"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
