import { drawVerdict, get, make, sayCount, showProblem } from "./common.js";

const $ = (id) => document.getElementById(id);
// Airflow 3.1 fills in ids as they are: the plus of "+00:00" in them is a plus, and no blank.
const asked = new URLSearchParams(location.search.replaceAll("+", "%2B"));
const wanted = new URLSearchParams();
for (const name of ["dag_id", "run_id", "task_id", "map_index"]) {
  const value = asked.get(name);
  // Airflow leaves a placeholder as it is where it has no value.
  if (value && !/^\{.*\}$/.test(value)) wanted.set(name, value);
}
const OPEN = 3;
let shown = 0;

function tell(answer) {
  const of = wanted.has("task_id") ? "task" : "run";
  const hidden = `${sayCount(answer.hidden, "verdict")} of this ${of} ${answer.hidden === 1 ? "is" : "are"} of tenants that this page does not show (page_tenants).`;
  if (!answer.total) {
    return answer.hidden ? hidden
      : `The ledger holds no verdict of this ${of}. A gate records its verdicts where its ledger_conn_id names the ledger.`;
  }
  const bad = answer.not_passed;
  const passed = answer.total - bad;
  const told = !bad ? (passed === 1 ? "passed" : "all passed")
    : !passed ? (bad === 1 ? "did not pass" : "none passed")
      : `${bad.toLocaleString("en")} did not pass, shown first; ${passed.toLocaleString("en")} passed`;
  return `${sayCount(answer.total, "verdict")} of this ${of}: ${told}.${answer.hidden ? ` ${hidden}` : ""}`;
}

async function more() {
  $("more").disabled = true;
  try {
    const answer = await get(`api/v1/verdicts?${wanted}&offset=${shown}`);
    $("asof").textContent = tell(answer);
    $("verdicts").append(...answer.verdicts.map((each, index) => drawVerdict(each, { isOpen: shown + index < OPEN })));
    shown += answer.verdicts.length;
    $("more").hidden = answer.is_complete || !answer.verdicts.length;
    $("more").textContent = `Show more of the ${(answer.total - shown).toLocaleString("en")} others`;
  } catch (error) {
    if (!shown) $("asof").textContent = "";
    showProblem($("problem"), error);
  } finally {
    $("more").disabled = false;
  }
}

if (wanted.has("dag_id") && wanted.has("run_id")) {
  $("more").addEventListener("click", more);
  await more();
} else {
  $("asof").replaceChildren("Open this page as the tab ", make("b", {}, "Backup"), " of a run.");
}
