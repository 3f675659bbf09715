export declare const PURE_FOLDERS: readonly string[];
