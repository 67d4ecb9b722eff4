// The pages work without this; with it they are live, listen to keys, and save a few clicks.
// Rules: no eval, no styles from script, no text put in as markup; whatever is drawn comes from the server.
import { startLive } from "./live.js";
import { startKeys } from "./keys.js";
import { startTimes } from "./time.js";
import { startPicking } from "./pick.js";
import { startGraph } from "./graph.js";
import { startForms } from "./forms.js";

startTimes();
startPicking();
startGraph();
startForms();
const live = startLive();
startKeys(live);
document.documentElement.dataset.ready = "yes";
