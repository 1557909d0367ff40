/** Copies files into and out of containers: the requests of `docker cp`. */
import { LighterError } from "../../base/errors.ts";
import {
  type Container,
  listFiles,
  type PathStat,
  type RawBody,
  readFiles,
  statFiles,
  writeFiles,
} from "../../engine/mod.ts";
import { FILES_HEADER } from "../../spec/file-range.ts";
import { COMMON_HEADERS, sendEmpty, sendJson } from "../http/protocol.ts";
import type { AnswerCall, Call, Upload } from "../http/router.ts";
import { sendOutput } from "../streams/send-output.ts";

const STAT_HEADER = "X-Docker-Container-Path-Stat";

/** Reads the request. The container is looked up first: a missing one is reported before a missing path. */
function parseCall({ daemon, parameter, query }: Call): { container: Container; path: string; ref: string } {
  const ref = parameter("id");
  const path = query.text("path");
  if (path === undefined) throw new LighterError("invalid", "bad parameter: pathcannot be empty"); // Docker's text
  return { container: daemon.engine.find(ref), path, ref };
}

function encodeStat(stat: PathStat): string {
  return Buffer.from(JSON.stringify(stat)).toString("base64");
}

/** HEAD /containers/{id}/archive */
export async function pathStat(call: AnswerCall): Promise<void> {
  const { container, path, ref } = parseCall(call);
  const stat = await statFiles(call.daemon.engine, container, path, ref);
  call.response.writeHead(200, { ...COMMON_HEADERS, [STAT_HEADER]: encodeStat(stat) });
  call.response.end();
}

/** GET /lighter/containers/{id}/files: what is in a directory. */
export async function listDirectory(call: AnswerCall): Promise<void> {
  const { container, path, ref } = parseCall(call);
  const { entries, isComplete } = await listFiles(call.daemon.engine, container, path, ref);
  const files = entries.map(({ name, size, mode, mtime, linkTarget }) => ({
    ...{ Name: name, Size: size, Mode: mode, ModifiedAt: mtime, LinkTarget: linkTarget },
  }));
  sendJson(call.response, 200, { Files: files, IsComplete: isComplete });
}

/** GET /containers/{id}/archive */
export async function readArchive(call: AnswerCall): Promise<void> {
  const { container, path, ref } = parseCall(call);
  const { response } = call;
  const takesFiles = call.request.headers[FILES_HEADER.toLowerCase()] === "1";
  await readFiles(call.daemon.engine, container, path, ref, takesFiles, async (stat, tar) => {
    response.setHeader(STAT_HEADER, encodeStat(stat));
    await sendOutput(call.request, response, "application/x-tar", tar, takesFiles);
  });
  response.end();
}

/** PUT /containers/{id}/archive */
export async function writeArchive(call: AnswerCall): Promise<void> {
  await write(call, call.request);
  sendEmpty(call.response, 200);
}

/** Handles PUT /containers/{id}/archive in a file worker, so that the body does not pass this process. */
export function uploadArchive(call: Call): Upload {
  return async (body) => {
    await write(call, body);
    return { contentType: "text/plain; charset=utf-8", text: "" };
  };
}

async function write(call: Call, tar: AsyncIterable<Uint8Array> | RawBody): Promise<void> {
  const { container, path, ref } = parseCall(call);
  const { daemon, query } = call;
  await writeFiles(daemon.engine, container, path, ref, tar, {
    keepKinds: query.boolean("noOverwriteDirNonDir"),
    ownedByUser: query.boolean("copyUIDGID"),
  });
}
