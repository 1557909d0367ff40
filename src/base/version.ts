/** Lighter's version. The build (scripts/bundle.ts) replaces the declared names by its own facts. */

/** The version of package.json (a test holds them equal). */
export const VERSION = "0.1.0";

declare const BUILD_COMMIT: string;
declare const BUILD_TIME: string;

/** The commit that was built, abbreviated, with "-dirty" if files differed from it; "" when run from sources or built outside of git. */
export const COMMIT = typeof BUILD_COMMIT === "undefined" ? "" : BUILD_COMMIT;

/** The commit's time in RFC 3339 and UTC, or the time of the build if it is not exactly a commit; "" when run from sources. */
export const BUILT_AT = typeof BUILD_TIME === "undefined" ? "" : BUILD_TIME;
