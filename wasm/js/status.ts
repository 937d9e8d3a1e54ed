/** Where a client stands. */
export type Status = "idle" | "connecting" | "ready" | "reconnecting" | "closing" | "closed";
