// The selected track and what can be done with it: correct, rename, pin or unpin, drop.
import { isAway, stateOf } from "./objects.js";
import { colour, title } from "./tracks.js";

const $ = (id) => document.getElementById(id);

export class Panel {
  // `deeds` has correct(), close(), and ask(kind, fields, words) for the rest.
  constructor(deeds) {
    this.track = null;
    this.shownName = null;
    $("correct").onclick = () => deeds.correct();
    $("deselect").onclick = () => deeds.close();
    $("pin").onclick = () => {
      const kind = this.track.pinned ? "unpin" : "pin";
      deeds.ask(kind, {}, `${kind} ${title(this.track)}`);
    };
    $("rename").onsubmit = (event) => {
      event.preventDefault();
      const name = $("name").value.trim();
      deeds.ask("rename", { name }, name ? `call ${title(this.track)} “${name}”` : `take the name of ${title(this.track)} away`);
    };
    $("drop").onclick = () => {
      $("confirm-words").textContent = `Stop following ${title(this.track, "object")}? It is not found again for a minute, and its number never comes back.`;
      $("confirm").returnValue = "";
      $("confirm").showModal();
    };
    $("confirm").onclose = () => {
      if ($("confirm").returnValue === "drop" && this.track) deeds.ask("drop", {}, `drop ${title(this.track)}`);
    };
  }

  // The track as it is now, or none; `correcting` while a correction of it is being marked.
  show(track, correcting) {
    const another = track?.id !== this.track?.id;
    this.track = track;
    $("panel").hidden = !track;
    if (!track) return;
    $("panel").style.setProperty("--track", colour(track.id));
    put($("panel-title"), title(track, "object"));
    put($("panel-state"), `${stateOf(track)}${track.pinned ? ", pinned" : ""}`);
    put($("pin"), track.pinned ? "Unpin" : "Pin");
    const ended = track.dropped || track.state === "retired";
    for (const id of ["correct", "pin", "drop", "name", "save"]) $(id).disabled = ended;
    $("correct").disabled ||= correcting;
    if (another || track.name !== this.shownName) $("name").value = this.shownName = track.name;
    $("panel").classList.toggle("away", isAway(track));
  }
}

function put(element, words) {
  if (element.textContent !== words) element.textContent = words;
}
