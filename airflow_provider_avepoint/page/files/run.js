import { drawVerdict, get, sayCount, showProblem } from "./common.js";

const place = document.getElementById("verdicts");
const line = document.getElementById("asof");
const asked = new URLSearchParams(location.search);
const wanted = new URLSearchParams();
for (const name of ["dag_id", "run_id", "task_id", "map_index"]) {
  const value = asked.get(name);
  // Airflow leaves a placeholder as it is where it has no value.
  if (value && !/^\{.*\}$/.test(value)) wanted.set(name, value);
}

try {
  if (!wanted.has("dag_id") || !wanted.has("run_id")) {
    line.textContent = "Open this page as the tab Backup of a run.";
  } else {
    const answer = await get(`api/v1/verdicts?${wanted}`);
    const of = wanted.has("task_id") ? "task" : "run";
    const bad = answer.not_passed ? `${answer.not_passed.toLocaleString("en")} did not pass, shown first` : "all passed";
    const shown = answer.is_complete ? "" : `; ${answer.verdicts.length} are shown`;
    line.textContent = answer.verdicts.length
      ? `${sayCount(answer.total, "verdict")} of this ${of}: ${bad}${shown}.`
      : `The ledger holds no verdict of this ${of}. A gate records its verdicts where its ledger_conn_id names the ledger.`;
    place.replaceChildren(...answer.verdicts.map((each, index) => drawVerdict(each, { isOpen: index < 3 })));
  }
} catch (error) {
  line.textContent = "";
  showProblem(document.getElementById("problem"), error);
}
