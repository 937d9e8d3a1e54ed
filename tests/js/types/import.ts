import { Redis } from "redwire";
new Redis();
