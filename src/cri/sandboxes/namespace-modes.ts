/** Whose namespaces a container is in. Source: NamespaceMode in api.proto. */
export const POD = 0;
export const NODE = 2;
export const TARGET = 3;
