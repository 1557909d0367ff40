/** A container's processes as a tree. */
import { plain } from "../../format.ts";
import { Panel, Pending, useAnswer } from "../../parts/basics.tsx";
import { NotRunning, type TabProps } from "../../parts/tab.tsx";
import { treeOf } from "../../process-tree.ts";
import { get } from "../../session.ts";

const COLUMNS = "pid,ppid,user,pcpu,rss,etime,args";
const INDENT_PX = 18;
const DEPTH_MAX = 20;

export function Processes({ id, runs }: TabProps) {
  if (!runs) return <NotRunning what="Its processes" />;
  return <Tree id={id} />;
}

function Tree({ id }: { id: string }) {
  const { answer, error, reload } = useAnswer(
    () => get<{ Processes: string[][] }>(`/containers/${id}/top?ps_args=${encodeURIComponent(`-eo ${COLUMNS}`)}`),
    id,
  );
  if (answer === undefined) return <Pending what="its processes" error={error} reload={reload} />;
  const rows = treeOf(answer.Processes);
  return (
    <Panel
      title={`${rows.length} ${rows.length === 1 ? "process" : "processes"}`}
      aside={
        <button type="button" onClick={reload}>
          Look anew
        </button>
      }
    >
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Command</th>
            <th scope="col" class="number">
              PID on the host
            </th>
            <th scope="col">User</th>
            <th scope="col" class="number">
              CPU %
            </th>
            <th scope="col" class="number">
              Memory, KiB
            </th>
            <th scope="col" class="number">
              Runs for
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ pid, depth, cells: [user = "", cpu = "", rss = "", elapsed = "", command = ""] }) => (
            <tr key={pid}>
              <th scope="row" style={{ paddingLeft: `${12 + Math.min(depth, DEPTH_MAX) * INDENT_PX}px` }}>
                {depth > 0 && <span aria-hidden="true">└ </span>}
                <code>{plain(command, 100)}</code>
              </th>
              <td class="number">{pid}</td>
              <td>{plain(user, 30)}</td>
              <td class="number">{cpu}</td>
              <td class="number">{rss}</td>
              <td class="number">{elapsed}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}
