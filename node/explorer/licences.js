import {once} from "./frame.js";

once(async () => {});
