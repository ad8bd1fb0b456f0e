// Opens the trial that a link names, and filters the lists of trials. The page is complete without it.
"use strict";

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const trial = target && target.closest("details.trial");
  if (!trial) return;
  trial.hidden = false;
  trial.open = true;
  target.focus({ preventScroll: true });
  trial.scrollIntoView();
}

// A drawing that is wider than the screen begins with the baseline: show the first kill.
function showKill(trial) {
  const kill = trial.querySelector(".scroll .kill");
  if (!kill) return;
  const scroll = kill.closest(".scroll");
  const width = scroll.clientWidth - scroll.querySelector(".labels").offsetWidth;
  scroll.scrollLeft = kill.getBBox().x - width / 2;
}

function filter(form) {
  const trials = [...form.parentElement.querySelectorAll("details.trial")];
  const wanted = new Set([...form.querySelectorAll("[name=verdict]:checked")].map((box) => box.value));
  const kind = form.elements.kind ? form.elements.kind.value : "";
  const name = form.elements.name.value.trim().toLowerCase();
  let shown = 0;
  for (const trial of trials) {
    const { verdict, kinds } = trial.dataset;
    const isWanted = wanted.has(verdict) && (!kind || kinds.split(" ").includes(kind)) &&
      trial.querySelector("summary").textContent.toLowerCase().includes(name);
    trial.hidden = !isWanted;
    shown += isWanted;
  }
  form.querySelector("output").textContent = `${shown} of ${trials.length} trials`;
}

for (const form of document.querySelectorAll("form.filter")) {
  form.hidden = false;
  for (const change of ["input", "change"]) form.addEventListener(change, () => filter(form));
  form.addEventListener("submit", (event) => event.preventDefault());
  filter(form);
}
document.addEventListener("toggle", (event) => showKill(event.target), true);
document.querySelectorAll("details.trial[open]").forEach(showKill);
addEventListener("hashchange", openTarget);
// A second click on the same link changes no hash.
addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='#']");
  if (link && link.hash === location.hash) openTarget();
});
addEventListener("beforeprint", () => {
  for (const trial of document.querySelectorAll("details.trial")) {
    trial.open ||= trial.dataset.verdict !== "KEPT" && !trial.hidden;
  }
});
openTarget();
