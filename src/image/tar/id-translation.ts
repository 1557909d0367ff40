/**
 * Translates the ids of files of a container in a user namespace. Seen from the host, they have the host's ids. A tar has the
 * container's:
 *
 *   owner                       uid, gid
 *   system.posix_acl_*          u32 version 2, then { u16 tag, u16 permissions, u32 id } each
 *   security.capability         v2 without an id; v3 with the id of the root for whom it counts in its last u32
 *
 * Sources: linux/posix_acl_xattr.h; linux/capability.h, `struct vfs_ns_cap_data`; capabilities(7), "Namespaced file
 * capabilities". All little-endian.
 */
import type { TarEntry } from "./tar-reader.ts";

interface IdTranslation {
  uid(id: number): number;
  gid(id: number): number;
}

/** From the container's ids to the host's (`toHost`), and from the host's to the container's. */
export interface IdTranslations {
  toHost: IdTranslation;
  toContainer: IdTranslation;
}

type Xattr = TarEntry["xattrs"][number];

const ACL = /^system\.posix_acl_(access|default)$/;
const ACL_HEADER_BYTES = 4;
const ACL_ENTRY_BYTES = 8;
const ACL_USER = 0x02;
const ACL_GROUP = 0x08;

const CAPABILITY = "security.capability";
const CAPABILITY_V2_BYTES = 20;
const CAPABILITY_V3_BYTES = 24;
/** The version above the flags, in the first u32's top byte. */
const CAPABILITY_V2 = 2;
const CAPABILITY_V3 = 3;

/**
 * An entry of a tar with the host's ids for owner and attributes. @throws what `toHost` throws for an id without a counterpart
 */
export function entryForHost<T extends Pick<TarEntry, "uid" | "gid" | "xattrs">>(
  entry: T,
  { toHost }: IdTranslations,
): T {
  const xattrs = entry.xattrs.map((xattr) => {
    if (xattr.name === CAPABILITY) return forRoot(xattr, toHost.uid(0));
    return ACL.test(xattr.name) ? translateAcl(xattr, toHost) : xattr;
  });
  return { ...entry, uid: toHost.uid(entry.uid), gid: toHost.gid(entry.gid), xattrs };
}

/** An entry for a tar, with the container's ids for owner and attributes. */
export function entryForContainer<T extends Pick<TarEntry, "uid" | "gid" | "xattrs">>(
  entry: T,
  { toHost, toContainer }: IdTranslations,
): T {
  const xattrs = entry.xattrs.map((xattr) => {
    if (xattr.name === CAPABILITY) return forNobodyInParticular(xattr, toHost.uid(0));
    return ACL.test(xattr.name) ? translateAcl(xattr, toContainer) : xattr;
  });
  return { ...entry, uid: toContainer.uid(entry.uid), gid: toContainer.gid(entry.gid), xattrs };
}

/** Translates an ACL. A malformed one stays unchanged: the kernel refuses it. */
function translateAcl({ name, value }: Xattr, ids: IdTranslation): Xattr {
  if (value.length < ACL_HEADER_BYTES || (value.length - ACL_HEADER_BYTES) % ACL_ENTRY_BYTES !== 0)
    return { name, value };
  const { bytes, view } = copyOf(value, value.length);
  for (let at = ACL_HEADER_BYTES; at < bytes.length; at += ACL_ENTRY_BYTES) {
    const tag = view.getUint16(at, true);
    if (tag !== ACL_USER && tag !== ACL_GROUP) continue;
    const id = view.getUint32(at + 4, true);
    view.setUint32(at + 4, tag === ACL_USER ? ids.uid(id) : ids.gid(id), true);
  }
  return { name, value: bytes };
}

function forRoot({ name, value }: Xattr, rootId: number): Xattr {
  if (value.length !== CAPABILITY_V2_BYTES || value[3] !== CAPABILITY_V2) return { name, value };
  const { bytes, view } = copyOf(value, CAPABILITY_V3_BYTES);
  bytes[3] = CAPABILITY_V3;
  view.setUint32(CAPABILITY_V2_BYTES, rootId, true);
  return { name, value: bytes };
}

function forNobodyInParticular({ name, value }: Xattr, rootId: number): Xattr {
  if (value.length !== CAPABILITY_V3_BYTES || value[3] !== CAPABILITY_V3) return { name, value };
  const { view } = copyOf(value, CAPABILITY_V3_BYTES);
  if (view.getUint32(CAPABILITY_V2_BYTES, true) !== rootId) return { name, value };
  const { bytes } = copyOf(value.subarray(0, CAPABILITY_V2_BYTES), CAPABILITY_V2_BYTES);
  bytes[3] = CAPABILITY_V2;
  return { name, value: bytes };
}

function copyOf(value: Uint8Array, byteCount: number): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(byteCount);
  bytes.set(value);
  return { bytes, view: new DataView(bytes.buffer) };
}
