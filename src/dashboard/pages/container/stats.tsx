/** What a container uses: the last hour, then on. */
import { useEffect, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { MEASURED, type Measured } from "../../../spec/dashboard.ts";
import { formatBytes, formatClock, formatPercent, formatRate } from "../../format.ts";
import { Empty, Panel } from "../../parts/basics.tsx";
import { NotRunning, type TabProps } from "../../parts/tab.tsx";
import { ask, onHistory, series, setVisible } from "../../watch.ts";

type Name = keyof Measured;

const PLOTS: readonly { title: string; lines: readonly [Name, string][]; format: (value: number) => string }[] = [
  { title: "CPU", lines: [["cpu", "CPU"]], format: formatPercent },
  { title: "Memory", lines: [["memory", "Memory"]], format: formatBytes },
  {
    title: "Network",
    lines: [
      ["received", "Received"],
      ["sent", "Sent"],
    ],
    format: formatRate,
  },
  {
    title: "Disk",
    lines: [
      ["read", "Read"],
      ["written", "Written"],
    ],
    format: formatRate,
  },
];

/** Rows of [time, numbers of MEASURED…]. */
type Rows = readonly (readonly number[])[];

/** The history, then what is measured. */
function useRows(id: string): Rows {
  const [history, setHistory] = useState<Rows>([]);
  useEffect(() => {
    const stop = onHistory((of, rows) => {
      if (of === id) setHistory(rows);
    });
    ask({ topic: "history", id });
    setVisible(id, true);
    return () => {
      stop();
      setVisible(id, false);
    };
  }, [id]);
  const own = series(id);
  own.latest.value; // new numbers show it anew
  const last = history.at(-1)?.[0] ?? 0;
  return [...history, ...own.rows.filter(([at = 0]) => at > last)];
}

export function Stats({ id, runs }: TabProps) {
  const rows = useRows(id);
  const now = series(id).latest.value;
  if (!runs && rows.length === 0) return <NotRunning what="What it uses" />;
  if (rows.length < 2) return <Empty title="Measuring" />;
  return (
    <div class="columns">
      {PLOTS.map(({ title, lines, format }) => (
        <Panel
          key={title}
          title={title}
          aside={
            <span>
              {lines
                .map(([name, label]) => `${lines.length > 1 ? `${label} ` : ""}${now ? format(now[name]) : "–"}`)
                .join(" · ")}
            </span>
          }
        >
          <Plot rows={rows} lines={lines} format={format} title={title} />
        </Panel>
      ))}
      <p class="muted">
        {now === undefined ? "" : `${now.pids} processes and threads. Memory limit: ${formatBytes(now.memoryLimit)}.`}
      </p>
    </div>
  );
}

let loading: Promise<typeof uPlot> | undefined;

/** The library of plots, with its style, is loaded when there is something to plot. */
function loadPlot(): Promise<typeof uPlot> {
  loading ??= import("uplot").then(({ default: loaded }) => {
    const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: "plot.css" });
    document.head.append(link);
    return loaded;
  });
  return loading;
}

interface PlotProps {
  rows: Rows;
  lines: readonly [Name, string][];
  format: (value: number) => string;
  title: string;
}

function columnsOf({ rows, lines }: Pick<PlotProps, "rows" | "lines">): uPlot.AlignedData {
  const column = (index: number) => rows.map((row) => row[index] ?? 0);
  const times = column(0).map((at) => at / 1000);
  return [times, ...lines.map(([name]) => column(MEASURED.indexOf(name) + 1))];
}

function Plot(props: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  useEffect(() => {
    let isGone = false;
    void loadPlot().then((Plotter) => {
      if (isGone || box.current === null) return;
      plot.current = new Plotter(optionsOf(props, box.current.clientWidth), columnsOf(props), box.current);
    });
    return () => {
      isGone = true;
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(columnsOf(props)), [props.rows]);
  return <div ref={box} class="plot" role="img" aria-label={`${props.title} of the last hour`} />;
}

/** What a plot shows of what is nothing. */
const RANGE_MIN = 4;
/** Bytes are counted in powers of two. */
const BYTE_STEPS = Array.from({ length: 50 }, (_, power) => 2 ** power);

function optionsOf({ lines, format }: PlotProps, width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  return {
    ...{ width, height: 180, legend: { show: false }, cursor: { show: false } },
    scales: { y: { range: (_, _min, max) => [0, max > 0 ? max * 1.15 : RANGE_MIN] } },
    axes: [
      { ...axis, values: (_, moments) => moments.map((at) => formatClock(at * 1000)) },
      {
        ...{ ...axis, size: 76, values: (_, values) => values.map((value) => format(value)) },
        ...(format === formatPercent ? {} : { incrs: BYTE_STEPS }),
      },
    ],
    series: [
      {},
      ...lines.map(([, label], index) => ({
        ...{ label, width: 1.5, points: { show: false }, stroke: colour(index === 0 ? "--accent" : "--warn") },
        ...(index === 0 ? { fill: colour("--accent-soft") } : { dash: [5, 3] }),
      })),
    ],
  };
}
