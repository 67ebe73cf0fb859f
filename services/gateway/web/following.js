// What people do on the picture: marks become prompts, on the picture that was seen; a selected track gets its verbs.
import { AskedView } from "./asked.js";
import { Marking } from "./marking.js";
import { Panel } from "./panel.js";
import { ask } from "./prompts.js";
import { Sketch } from "./sketch.js";
import { title } from "./tracks.js";

const $ = (id) => document.getElementById(id);
const HELD_MS = 12000; // the tracker holds pictures for 20 s, and the page is some seconds behind
const MOST_POINTS = 16;
const MOST_STROKES = 4;
const HOW = {
  point: "Click on a thing to follow it, or drag a box around it",
  box: "Drag a box around a thing to follow it",
  scribble: "Draw a line over a thing to follow it (needs a mouse, pen or finger)",
};
const KEYS = ". By keys: arrows move the cross, Enter marks.";

export class Following {
  // `camera()` is the chosen camera; `changed()` is called when cards have to be drawn anew.
  constructor({ player, tracks, camera, changed }) {
    Object.assign(this, { player, tracks, camera, changed });
    this.selected = null;
    this.correcting = null; // the track that is corrected
    this.mark = {};
    this.atS = null; // camera time of the picture that is marked
    this.asked = new AskedView($("asked"));
    this.sketch = new Sketch($("sketch"));
    this.marking = new Marking($("screen"), {
      tool: () => $("tools").elements.tool.value,
      inside: () => !this.correcting || $("tools").elements.side.value === "inside",
      began: () => this.begin(),
      done: (part) => this.take(part),
      dropped: () => this.rest(),
    });
    this.panel = new Panel({
      correct: () => this.correct(),
      close: () => this.close(),
      ask: (kind, fields, words) => this.ask(kind, { track: this.selected, ...fields }, words),
    });
    $("tools").onchange = () => this.showTools();
    $("tools").onsubmit = (event) => { event.preventDefault(); this.sendCorrection(); };
    $("cancel").onclick = () => this.endCorrection();
    $("screen").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.correcting && this.isMarked()) this.sendCorrection();
    });
    addEventListener("keydown", (event) => { if (event.key === "Escape" && !$("confirm").open) this.escape(); });
    this.showTools();
  }

  // Called for every picture shown.
  draw() {
    if ((this.correcting || this.marking.active) && performance.now() > this.heldUntil) this.tooOld();
    this.sketch.draw(this.mark, this.marking.gesture);
  }

  show() {
    const track = this.selected && this.tracks.byId.get(this.selected);
    this.panel.show(track || null, Boolean(this.correcting));
  }

  select(id) {
    if (this.correcting && id !== this.correcting) this.endCorrection();
    this.selected = id === this.selected ? null : id;
    this.changed();
  }

  close() {
    this.select(null);
    $("screen").focus({ preventScroll: true });
  }

  begin() {
    if (this.camera() === null || this.player.timeS === null) {
      this.asked.refuse("There is no picture to mark yet.");
      return false;
    }
    if (!this.correcting) this.hold();
    return true;
  }

  hold() {
    this.atS = this.player.timeS;
    this.heldUntil = performance.now() + HELD_MS;
    this.player.hold();
  }

  rest() { if (!this.correcting) this.player.release(); }

  take(part) {
    if (this.correcting) return this.add(part);
    this.player.release();
    this.sketch.sentOff(part);
    this.ask("follow", { mark: part, at_s: this.atS }, "follow what you marked");
  }

  add({ points = [], strokes = [], box }) {
    const mark = this.mark;
    mark.points = [...(mark.points ?? []), ...points].slice(-MOST_POINTS);
    mark.strokes = [...(mark.strokes ?? []), ...strokes].slice(-MOST_STROKES);
    if (box) mark.box = box;
    this.showTools();
  }

  isMarked() { return Boolean(this.mark.box || this.mark.points?.length || this.mark.strokes?.length); }

  correct() {
    if (this.player.timeS === null) return this.asked.refuse("There is no picture to mark yet.");
    this.correcting = this.selected;
    this.mark = {};
    this.hold();
    this.showTools();
    this.show();
    $("screen").focus();
    $("screen").scrollIntoView({ block: "nearest" });
  }

  sendCorrection() {
    if (!this.correcting || !this.isMarked()) return;
    const [track, mark, atS] = [this.correcting, this.mark, this.atS];
    this.sketch.sentOff(mark);
    this.endCorrection();
    const words = `correct ${title(this.tracks.get(track))}`;
    this.ask("correct", { track, mark, at_s: atS }, words);
  }

  endCorrection() {
    if (!this.correcting) return;
    this.correcting = null;
    this.mark = {};
    this.player.release();
    this.showTools();
    this.show();
    $("correct").focus({ preventScroll: true });
  }

  tooOld() {
    this.marking.cancel();
    this.endCorrection();
    this.asked.refuse("The picture got too old to be marked: mark a newer one.");
  }

  escape() {
    if (this.marking.active) this.marking.cancel();
    else if (this.correcting) this.endCorrection();
    else if (this.selected) this.close();
  }

  async ask(kind, fields, words) {
    const camera = this.camera();
    const line = this.asked.begin(`${words}…`);
    const { ok, words: told, answer } = await ask(camera, { kind, ...fields });
    line.settle({ ok, words: told });
    if (!ok) return;
    const track = this.tracks.get(answer.track_id);
    track.camera ??= camera;
    this.tracks.answered(answer);
    if (kind === "follow") this.selected = answer.track_id;
    this.changed();
  }

  showTools() {
    const tool = $("tools").elements.tool.value;
    $("screen").dataset.tool = tool;
    for (const id of ["side", "send", "cancel"]) $(id).hidden = !this.correcting;
    $("send").disabled = !this.isMarked();
    const track = this.correcting && title(this.tracks.get(this.correcting), "object");
    const words = track
      ? `Correcting ${track}: mark it on the still picture, and what is not of it; then send (Enter). Escape gives up.`
      : HOW[tool] + (tool === "scribble" ? "." : KEYS);
    $("hint").textContent = words;
  }
}
