/** Builds: those under way, and the last ones. */
import { formatAge, formatSeconds, plain, shortId } from "../format.ts";
import { Empty, Pending, useAnswer, useNow } from "../parts/basics.tsx";
import { BuildState, type BuildSummary, CancelButton } from "../parts/build-state.tsx";
import { linkTo } from "../route.ts";
import { get } from "../session.ts";

export function Builds() {
  const { answer, ...asked } = useAnswer(() => get<BuildSummary[]>("/lighter/builds"), "", ["build"]);
  const now = useNow(answer?.some(({ EndedMs }) => EndedMs === 0) ?? false);
  return (
    <>
      <h1>Builds</h1>
      {answer === undefined && <Pending what="the builds" {...asked} />}
      {answer?.length === 0 && (
        <Empty title="Nothing has been built yet">
          <p>
            <code>lighter build .</code> or <code>docker build .</code> in a directory with a Dockerfile builds an
            image. The last builds are kept, with what they have printed.
          </p>
        </Empty>
      )}
      {answer !== undefined && answer.length > 0 && <List builds={answer} now={now} />}
    </>
  );
}

function List({ builds, now }: { builds: readonly BuildSummary[]; now: number }) {
  const longest = Math.max(1, ...builds.map((build) => tookMs(build, now)));
  return (
    <section class="panel" aria-label="Builds">
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col">Steps</th>
            <th scope="col">Began</th>
            <th scope="col">Took</th>
            <th scope="col" class="wide">
              Image
            </th>
          </tr>
        </thead>
        <tbody>
          {builds.map((build) => {
            const { Id, Name, StartedMs, EndedMs, Image, Steps, CachedSteps } = build;
            return (
              <tr key={Id}>
                <th scope="row">
                  <a href={linkTo("build", Id)}>{plain(Name || Id, 60)}</a>
                </th>
                <td>
                  <BuildState build={build} /> {EndedMs === 0 && <CancelButton id={Id} />}
                </td>
                <td>
                  {EndedMs > 0 && `${Steps}`}
                  {CachedSteps > 0 && <small>{CachedSteps} from the cache</small>}
                </td>
                <td>{formatAge((now - StartedMs) / 1000)} ago</td>
                <td class="lasted">
                  <span class="meter" aria-hidden="true">
                    <span style={{ width: `${(100 * tookMs(build, now)) / longest}%` }} />
                  </span>
                  {formatSeconds(tookMs(build, now) / 1000)}
                </td>
                <td class="wide muted">{Image === "" ? "" : shortId(Image)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

const tookMs = ({ StartedMs, EndedMs }: BuildSummary, now: number) => Math.max(0, (EndedMs || now) - StartedMs);
