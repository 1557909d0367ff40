/** A container's log as it comes. Of all lines only those in view are in the document. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { parseAnsi } from "../../ansi.ts";
import { Empty } from "../../parts/basics.tsx";
import type { TabProps } from "../../parts/tab.tsx";
import { ask, onLogs } from "../../watch.ts";

const LINE_PX = 20;
const HEIGHT_PX = 520;
const LINES_MAX = 20_000;

interface Line {
  time: string;
  error: boolean;
  text: string;
}

const SINCE: readonly [label: string, seconds: number][] = [
  ["Last 1,000 lines", 0],
  ["Last 5 minutes", 300],
  ["Last hour", 3600],
  ["Last day", 86_400],
];

/** The lines of a log from now on. They come in batches; what is shown changes once a frame. */
function useLines(id: string, seconds: number): { lines: readonly Line[]; end: string | undefined } {
  const [state, setState] = useState<{ lines: readonly Line[]; end: string | undefined }>({
    lines: [],
    end: undefined,
  });
  useEffect(() => {
    let [lines, end]: [Line[], string | undefined] = [[], undefined];
    let frame = 0;
    const show = () => {
      frame = 0;
      lines = lines.slice(-LINES_MAX);
      setState({ lines, end });
    };
    const stop = onLogs((message) => {
      if (message.id !== id) return;
      if ("end" in message) end = message.end;
      else {
        if (message.past) lines = [];
        lines.push(...message.entries);
      }
      frame ||= requestAnimationFrame(show);
    });
    show();
    const since = seconds === 0 ? {} : { since: new Date(Date.now() - seconds * 1000).toISOString() };
    ask({ topic: "logs", id, tail: seconds === 0 ? 1000 : LINES_MAX, ...since });
    return () => {
      stop();
      cancelAnimationFrame(frame);
      ask({ topic: "logs", id: "", tail: 0 });
    };
  }, [id, seconds]);
  return state;
}

export function Logs({ id }: TabProps) {
  const [seconds, setSeconds] = useState(0);
  const [search, setSearch] = useState("");
  const { lines, end } = useLines(id, seconds);
  const shown = useMemo(() => {
    const word = search.toLowerCase();
    return word === "" ? lines : lines.filter(({ text }) => text.toLowerCase().includes(word));
  }, [lines, search]);
  return (
    <>
      <div class="tools">
        <label>
          <span class="unseen">Search the log</span>
          <input type="search" placeholder="Search" value={search} onInput={(e) => setSearch(e.currentTarget.value)} />
        </label>
        <label>
          <span class="unseen">Since</span>
          <select value={seconds} onChange={(e) => setSeconds(Number(e.currentTarget.value))}>
            {SINCE.map(([label, value]) => (
              <option key={value} value={value}>
                {label}
              </option>
            ))}
          </select>
        </label>
        <span class="count" role="status">
          {shown.length} {shown.length === 1 ? "line" : "lines"}
        </span>
      </div>
      {shown.length === 0 ? <NoLines search={search} end={end} /> : <LineList lines={shown} />}
    </>
  );
}

function NoLines({ search, end }: { search: string; end: string | undefined }) {
  if (search !== "") return <Empty title="No line has this text" />;
  return (
    <Empty title={end ? "The log cannot be read" : "Nothing has been printed"}>
      <p>{end || "What the container writes to its output appears here."}</p>
    </Empty>
  );
}

function LineList({ lines }: { lines: readonly Line[] }) {
  const box = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const [top, setTop] = useState(0);
  useEffect(() => {
    if (box.current !== null && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines]);
  const first = Math.max(0, Math.floor(top / LINE_PX) - 10);
  const inView = lines.slice(first, first + Math.ceil(HEIGHT_PX / LINE_PX) + 20);
  return (
    <div
      ref={box}
      class="log"
      role="log"
      aria-label="Log"
      tabIndex={0}
      style={{ height: `${HEIGHT_PX}px` }}
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isAtEnd.current = scrollTop + clientHeight > scrollHeight - LINE_PX;
        setTop(scrollTop);
      }}
    >
      <div style={{ height: `${lines.length * LINE_PX}px` }}>
        <div style={{ transform: `translateY(${first * LINE_PX}px)` }}>
          {inView.map((line, index) => (
            <LogLine key={first + index} line={line} />
          ))}
        </div>
      </div>
    </div>
  );
}

function LogLine({ line: { time, error, text } }: { line: Line }) {
  return (
    <div class="line">
      <time dateTime={time}>{time.slice(11, 23)}</time>
      <span class={error ? "stream err" : "stream"}>{error ? "err" : "out"}</span>
      <span>
        {parseAnsi(text).map((piece, index) => (
          <span key={index} class={piece.style}>
            {piece.text}
          </span>
        ))}
      </span>
    </div>
  );
}
