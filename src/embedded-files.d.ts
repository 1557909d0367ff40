/** Bun's `with { type: "file" }` gives the path. These files have no extension, so TypeScript needs their names. */
declare module "*/dist/launcher" {
  const path: string;
  export default path;
}
declare module "*/dist/hello" {
  const path: string;
  export default path;
}
declare module "*/dist/init" {
  const path: string;
  export default path;
}
declare module "*/dist/dashboard" {
  const path: string;
  export default path;
}
