// How far a run is within something that takes long: words, and the share that is done. Does not own who hears of it.

/** `share`: 0 to 1; absent where nobody knows. */
export type OnProgress = (what: string, share?: number) => void;
