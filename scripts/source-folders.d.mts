export declare const SOURCE_FOLDERS: readonly string[];
