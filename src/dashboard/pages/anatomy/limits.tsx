/** What limits the container, beside what it uses; and the files of its cgroups that say so. */
import { useEffect } from "preact/hooks";
import type { Anatomy } from "../../../spec/anatomy.ts";
import { type Limit, limitsOf } from "../../cgroup-limits.ts";
import { formatBytes, plain } from "../../format.ts";
import { Meter, Panel } from "../../parts/basics.tsx";
import { series, setVisible } from "../../watch.ts";

export function Limits({ id, answer: { cgroups } }: { id: string; answer: Anatomy }) {
  useEffect(() => {
    setVisible(id, true);
    return () => setVisible(id, false);
  }, [id]);
  const now = series(id).latest.value;
  const useOf = ({ what, use }: Limit) => (what === "CPUs" ? now && now.cpu / 100 : use);
  const filled = cgroups.filter(({ values }) => values.length > 0);
  const isSecond = cgroups.some(({ controllers, values }) => controllers === "" && values.length > 0);
  return (
    <Panel title="Limits and use" aside={<span class="muted">cgroup version {isSecond ? 2 : 1}</span>}>
      <dl class="limits">
        {limitsOf(cgroups).map((limit) => (
          <div key={limit.what}>
            <dt>{limit.what}</dt>
            <dd>
              <strong>{format(limit.what, useOf(limit))}</strong>
              <Meter value={useOf(limit) ?? 0} max={limit.limit} />
              <small>{Number.isFinite(limit.limit) ? `of ${format(limit.what, limit.limit)}` : "no limit"}</small>
            </dd>
          </div>
        ))}
      </dl>
      <details class="fold">
        <summary>The files that say so</summary>
        {filled.map(({ controllers, path, values }) => (
          <div key={controllers} class="cgroup">
            <p class="muted">
              {controllers || "all controllers"} in <code>{plain(path, 120)}</code>
            </p>
            <dl class="pairs">
              {values.map(({ file, value }) => (
                <div key={file}>
                  <dt>{file}</dt>
                  <dd>{plain(value, 80)}</dd>
                </div>
              ))}
            </dl>
          </div>
        ))}
      </details>
    </Panel>
  );
}

function format(what: Limit["what"], value: number | undefined): string {
  if (value === undefined) return "–";
  if (what.startsWith("Memory")) return formatBytes(value);
  return what === "CPUs" ? value.toFixed(2) : String(value);
}
