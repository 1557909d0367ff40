/** The files that differ from the image, each as an archive. */
import { useState } from "preact/hooks";
import { plain } from "../../format.ts";
import { Empty, Panel, Pending, useAnswer } from "../../parts/basics.tsx";
import type { TabProps } from "../../parts/tab.tsx";
import { get } from "../../session.ts";
import { sayError } from "../../state.ts";
import { download } from "./files.tsx";

interface Change {
  Path: string;
  Kind: 0 | 1 | 2;
}

const KINDS = ["changed", "added", "deleted"];
const SHOWN_MAX = 500;

export function Changes({ id }: TabProps) {
  const [search, setSearch] = useState("");
  const { answer, error, reload } = useAnswer(() => get<Change[] | null>(`/containers/${id}/changes`), id);
  if (answer === undefined) return <Pending what="what differs" error={error} reload={reload} />;
  const matching = (answer ?? []).filter(({ Path }) => Path.includes(search));
  return (
    <Panel
      title={`${matching.length} ${matching.length === 1 ? "path differs" : "paths differ"} from the image`}
      aside={
        <span class="buttons">
          <label>
            <span class="unseen">Search paths</span>
            <input
              type="search"
              placeholder="Search"
              value={search}
              onInput={(e) => setSearch(e.currentTarget.value)}
            />
          </label>
          <button type="button" onClick={reload}>
            Look anew
          </button>
        </span>
      }
    >
      {matching.length === 0 ? (
        <Empty title="Nothing differs" />
      ) : (
        <ul class="paths">
          {matching.slice(0, SHOWN_MAX).map(({ Path, Kind }) => (
            <li key={Path}>
              <span class={`badge ${KINDS[Kind]}`}>{KINDS[Kind]}</span> <code>{plain(Path, 300)}</code>
              {Kind !== 2 && (
                <button
                  type="button"
                  aria-label={`Download ${plain(Path)}`}
                  onClick={() => download(id, Path, false).catch(sayError)}
                >
                  Download
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
