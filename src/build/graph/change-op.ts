/** Changes to files, one after another, that make one layer: LLB's FileOp in general. Source: moby/buildkit solver/pb/ops.proto. */
import type { CopyOp } from "./llb.ts";
import { Message } from "./protobuf.ts";

export interface ChangeOp {
  kind: "change";
  actions: readonly ChangeAction[];
}

/** "USER:GROUP", names or numbers; undefined: root. A time is in nanoseconds; undefined: now. */
interface Ownership {
  owner: string | undefined;
  mtimeNs: string | undefined;
}

export type ChangeAction =
  | CopyOp
  | ({ kind: "make-directory"; path: string; mode: number; makesParents: boolean } & Ownership)
  /** The content is base64. */
  | ({ kind: "make-file"; path: string; mode: number; content: string } & Ownership)
  | ({ kind: "make-symlink"; path: string; target: string } & Ownership)
  | { kind: "remove"; path: string; allowNotFound: boolean; allowWildcard: boolean };

type OwnerOf = (owner: string | undefined) => Message | undefined;

/** The message of an action that is no copy, and its number in FileAction. */
export function encodeChange(
  action: Exclude<ChangeAction, CopyOp>,
  ownerOf: OwnerOf,
): { field: number; message: Message } {
  if (action.kind === "remove") {
    const { path, allowNotFound, allowWildcard } = action;
    return { field: 7, message: new Message().text(1, path).number(2, allowNotFound).number(3, allowWildcard) };
  }
  const owner = ownerOf(action.owner);
  const end = (message: Message, ownerField: number): Message => {
    if (owner !== undefined) message.message(ownerField, owner);
    return message.number(ownerField + 1, BigInt(action.mtimeNs ?? -1));
  };
  if (action.kind === "make-symlink")
    return { field: 8, message: end(new Message().text(1, action.target).text(2, action.path), 3) };
  const message = new Message().text(1, action.path).number(2, action.mode);
  if (action.kind === "make-directory") return { field: 6, message: end(message.number(3, action.makesParents), 4) };
  return { field: 5, message: end(message.bytes(3, Buffer.from(action.content, "base64")), 4) };
}
