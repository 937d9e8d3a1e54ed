// The same, where nothing else is imported.
import { get } from "redwire/commands";

export const { command } = get("k");
