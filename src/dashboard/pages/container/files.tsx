/** The files of a container, also of one that does not run: to look at, to take and to put there. */
import { useRef, useState } from "preact/hooks";
import { formatBytes, plain } from "../../format.ts";
import { Empty, Panel, Pending, useAnswer } from "../../parts/basics.tsx";
import type { TabProps } from "../../parts/tab.tsx";
import { linkTo, route } from "../../route.ts";
import { call, get, isReadOnly } from "../../session.ts";
import { containers, nameOf, say, sayError } from "../../state.ts";
import { fileInTar, tarOfFile } from "../../tar.ts";

interface FileEntry {
  Name: string;
  Size: number;
  /** The mode in Go's form: permissions, and a bit for each kind from the top. */
  Mode: number;
  ModifiedAt: string;
  LinkTarget: string;
}

/** The largest text that is shown, and what goes through this page at most: it has all of that in its memory. */
const TEXT_MAX_BYTES = 1024 * 1024;
const TRANSFER_MAX_BYTES = 256 * 1024 * 1024;

const isDirectory = ({ Mode }: FileEntry) => Mode >= 2 ** 31;
const isLink = ({ Mode }: FileEntry) => Math.floor(Mode / 2 ** 27) % 2 === 1;
const isRegular = ({ Mode }: FileEntry) =>
  Math.floor(Mode / 2 ** 24) % 256 === 0 && Math.floor(Mode / 2 ** 21) % 2 === 0;
const join = (directory: string, name: string) => `${directory === "/" ? "" : directory}/${name}`;

export function Files({ id }: TabProps) {
  const directory = route.value[3] || "/";
  return <Directory key={directory} id={id} path={directory} />;
}

function Directory({ id, path }: { id: string; path: string }) {
  const [shown, setShown] = useState<{ name: string; text: string } | undefined>();
  const { answer, ...asked } = useAnswer(
    () =>
      get<{ Files: FileEntry[]; IsComplete: boolean }>(
        `/lighter/containers/${id}/files?path=${encodeURIComponent(path)}`,
      ),
    path,
  );
  const view = async (name: string) => setShown({ name, text: await readText(id, join(path, name)) });
  return (
    <>
      <Panel
        title={<Path id={id} path={path} />}
        aside={
          <span class="buttons">
            <button type="button" onClick={asked.reload}>
              Look anew
            </button>
            {!isReadOnly.value && <Upload id={id} path={path} onDone={asked.reload} />}
          </span>
        }
      >
        {answer === undefined ? (
          <Pending what="what is here" {...asked} />
        ) : (
          <FileTable id={id} path={path} files={answer.Files} onView={(name) => void view(name).catch(sayError)} />
        )}
        {answer?.IsComplete === false && (
          <p class="muted more">
            There are more: these are the first {answer.Files.length} in the order of their names.
          </p>
        )}
      </Panel>
      {shown !== undefined && (
        <Panel
          title={plain(shown.name, 120)}
          aside={
            <button type="button" onClick={() => setShown(undefined)}>
              Close
            </button>
          }
        >
          <pre class="text" tabIndex={0}>
            {shown.text}
          </pre>
        </Panel>
      )}
    </>
  );
}

interface TableProps {
  id: string;
  path: string;
  files: readonly FileEntry[];
  onView: (name: string) => void;
}

/** The files of a directory, its directories first. */
function FileTable({ id, path, files, onView }: TableProps) {
  if (files.length === 0) return <Empty title="There are no files here" />;
  const sorted = [...files].sort((a, b) => Number(isDirectory(b)) - Number(isDirectory(a)));
  return (
    <table class="list files">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col" class="number">
            Size
          </th>
          <th scope="col" class="wide">
            Changed
          </th>
          <th scope="col" class="wide">
            Mode
          </th>
          <td />
        </tr>
      </thead>
      <tbody>
        {sorted.map((file) => (
          <Row key={file.Name} id={id} path={path} file={file} onView={() => onView(file.Name)} />
        ))}
      </tbody>
    </table>
  );
}

/** The path, with a link to each directory above. */
function Path({ id, path }: { id: string; path: string }) {
  const parts = path.split("/").filter(Boolean);
  return (
    <>
      <a href={linkTo("container", id, "files", "/")}>/</a>
      {parts.map((part, index) => {
        const to = `/${parts.slice(0, index + 1).join("/")}`;
        return (
          <span key={to}>
            {index > 0 && "/"}
            {index === parts.length - 1 ? (
              plain(part, 80)
            ) : (
              <a href={linkTo("container", id, "files", to)}>{plain(part, 80)}</a>
            )}
          </span>
        );
      })}
    </>
  );
}

function Row({ id, path, file, onView }: { id: string; path: string; file: FileEntry; onView: () => void }) {
  const { Name, Size, Mode, ModifiedAt, LinkTarget } = file;
  const name = plain(Name, 100);
  const full = join(path, Name);
  return (
    <tr>
      <th scope="row">
        {isDirectory(file) ? (
          <a href={linkTo("container", id, "files", full)}>{name}/</a>
        ) : isLink(file) ? (
          <>
            {name}{" "}
            <span class="muted">
              → <a href={linkTo("container", id, "files", LinkTarget)}>{plain(LinkTarget, 80)}</a>
            </span>
          </>
        ) : (
          name
        )}
      </th>
      <td class="number">{isRegular(file) ? formatBytes(Size) : ""}</td>
      <td class="wide muted">{ModifiedAt.slice(0, 16).replace("T", " ")}</td>
      <td class="wide muted">
        <code>{(Mode % 512).toString(8).padStart(3, "0")}</code>
      </td>
      <td class="number">
        {isRegular(file) && Size <= TEXT_MAX_BYTES && (
          <button type="button" aria-label={`View ${name}`} onClick={onView}>
            View
          </button>
        )}{" "}
        {(isRegular(file) || isDirectory(file)) && (
          <button
            type="button"
            aria-label={`Download ${name}`}
            onClick={() => download(id, full, isRegular(file)).catch(sayError)}
          >
            Download
          </button>
        )}
      </td>
    </tr>
  );
}

function Upload({ id, path, onDone }: { id: string; path: string; onDone: () => void }) {
  const input = useRef<HTMLInputElement>(null);
  const send = async (files: readonly File[]) => {
    for (const file of files) {
      if (file.size > TRANSFER_MAX_BYTES) throw tooLarge(id, `cp ${file.name} NAME:${path}`);
      const query = `path=${encodeURIComponent(path)}&noOverwriteDirNonDir=1`;
      await call("PUT", `/containers/${id}/archive?${query}`, tarOfFile(file.name, file));
    }
    say(files.length === 1 ? `${files[0]!.name} is in ${path}` : `${files.length} files are in ${path}`);
    onDone();
  };
  return (
    <>
      <input
        ref={input}
        type="file"
        multiple
        class="unseen"
        tabIndex={-1}
        aria-label="Files to send"
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = "";
          send(files).catch(sayError);
        }}
      />
      <button type="button" onClick={() => input.current?.click()}>
        Send files here
      </button>
    </>
  );
}

/** Says by which command it can be done. */
function tooLarge(id: string, command: string): Error {
  const container = containers.value?.find(({ Id }) => Id === id);
  const name = container === undefined ? id : nameOf(container);
  return new Error(
    `more than ${formatBytes(TRANSFER_MAX_BYTES)} do not go through this page: lighter ${command.replace("NAME", name)}`,
  );
}

/** Reads the archive of a path. @throws Error if it is larger than what the page may hold */
async function readArchive(id: string, path: string): Promise<Uint8Array<ArrayBuffer>> {
  const answer = await call("GET", `/containers/${id}/archive?path=${encodeURIComponent(path)}`);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  const reader = answer.body!.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    size += next.value.length;
    if (size <= TRANSFER_MAX_BYTES) continue;
    await reader.cancel();
    throw tooLarge(id, `cp NAME:${path} .`);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

async function readText(id: string, path: string): Promise<string> {
  const bytes = fileInTar(await readArchive(id, path));
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!text.includes("\0")) return text;
  } catch {
    // said below
  }
  throw new Error(`${plain(path)} is no text: it can be downloaded`);
}

/** Saves a file as it is, and anything else as a tar archive. */
export async function download(id: string, path: string, isFile: boolean): Promise<void> {
  const tar = await readArchive(id, path);
  const content = isFile ? (fileInTar(tar) as Uint8Array<ArrayBuffer>) : tar;
  const url = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  const name =
    path
      .split("/")
      .at(-1)
      ?.replace(/[^\w.-]/g, "_") || "files";
  Object.assign(document.createElement("a"), { href: url, download: isFile ? name : `${name}.tar` }).click();
  URL.revokeObjectURL(url);
}
