/** The namespaces as rooms: closed ones are the container's own, open ones are shared. */
import type { Anatomy } from "../../../spec/anatomy.ts";
import { plain } from "../../format.ts";
import { Panel } from "../../parts/basics.tsx";
import { linkTo } from "../../route.ts";

const NAMESPACE_OF: Readonly<Record<string, string>> = {
  mnt: "Mounts",
  pid: "Processes",
  net: "Network",
  ipc: "Shared memory, queues",
  uts: "Host name",
  user: "Users",
  cgroup: "Cgroups",
  time: "Clocks since boot",
};
const SHOWN_MAX = 5;

export function Namespaces({ answer: { namespaces, idMaps, pid } }: { answer: Anatomy }) {
  const own = namespaces.filter(({ sharedWithHost, sharedWith }) => !sharedWithHost && sharedWith.length === 0);
  const isIdentity = idMaps.every(({ inside, outside }) => inside === outside);
  return (
    <Panel
      title={`${own.length} of ${namespaces.length} namespaces are its own`}
      aside={<span class="muted">process {pid} on the host</span>}
    >
      <ul class="rooms">
        {namespaces.map(({ type, inode, sharedWithHost, sharedWith }) => (
          <li key={type} class={sharedWithHost ? "host" : sharedWith.length > 0 ? "shared" : "own"}>
            <strong>{NAMESPACE_OF[type] ?? type}</strong>
            <span>
              {sharedWithHost ? (
                "the host's"
              ) : sharedWith.length === 0 ? (
                "its own"
              ) : (
                <>
                  shared with{" "}
                  {sharedWith.slice(0, SHOWN_MAX).map(({ id, name }, index) => (
                    <span key={id}>
                      {index > 0 && ", "}
                      <a href={linkTo("container", id, "anatomy")}>{plain(name, 40)}</a>
                    </span>
                  ))}
                  {sharedWith.length > SHOWN_MAX && ` and ${sharedWith.length - SHOWN_MAX} more`}
                </>
              )}
            </span>
            <small>
              {type}:[{inode}]
            </small>
          </li>
        ))}
      </ul>
      <ul class="notes">
        {isIdentity && (
          <li>Users have the numbers that they have on the host: its root is the host's, within these walls.</li>
        )}
        {(isIdentity ? [] : idMaps).map(({ kind, inside, outside, count }) => (
          <li key={`${kind} ${inside}`}>
            {kind} {inside}
            {count > 1 && ` to ${inside + count - 1}`} in it is {outside}
            {count > 1 && ` to ${outside + count - 1}`} on the host
          </li>
        ))}
      </ul>
    </Panel>
  );
}
