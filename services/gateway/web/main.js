// Puts the page together: events in, picture, overlay, objects and feed out.
import { draw } from "./overlay.js";
import { FeedView } from "./feed.js";
import { Following } from "./following.js";
import { ObjectsView } from "./objects.js";
import { Player } from "./player.js";
import { Tracks } from "./tracks.js";

const $ = (id) => document.getElementById(id);
const NAMES = "narration,partial,track,track.event,prompt.answer,camera.state,gap";
const SPOKEN_MS = 6000;
const GONE_S = 30;

const tracks = new Tracks();
const feed = new FeedView($("feed"));
const notice = (words) => { $("notice").textContent = words; };
const player = new Player($("video"), notice);
const following = new Following({ player, tracks, camera: () => chosen, changed: () => showObjects() });
const objects = new ObjectsView($("objects"), (id) => following.select(id));
const cameras = new Map();
let chosen = null;
let spokenUntil = 0;
let drawn = ""; // what the overlay shows: it is drawn anew only for another picture

async function listCameras() {
  const answer = await fetch("/v1/cameras").then((r) => r.json()).catch(() => ({ cameras: [] }));
  const known = new Set(answer.cameras.map((c) => c.camera_id));
  for (const id of cameras.keys()) if (!known.has(id)) cameras.delete(id);
  for (const camera of answer.cameras) cameras.set(camera.camera_id, camera);
  if (!cameras.has(chosen)) choose([...cameras.keys()][0] ?? null);
  showCameras();
}

// Drawn anew only when something changed: whoever is on a button by keys stays there.
function showCameras() {
  const now = JSON.stringify([chosen, ...[...cameras.values()].map((c) => [c.camera_id, c.state, c.cause])]);
  if (now === $("cameras").dataset.shown) return;
  $("cameras").dataset.shown = now;
  const at = [...$("cameras").children].indexOf(document.activeElement);
  $("cameras").replaceChildren(...[...cameras.values()].map((camera) => {
    const button = document.createElement("button");
    const dot = document.createElement("span");
    dot.className = `dot ${camera.state}`;
    button.append(dot, camera.camera_id);
    button.title = `${camera.state}${camera.cause ? ": " + camera.cause : ""}`;
    button.setAttribute("aria-pressed", camera.camera_id === chosen);
    button.setAttribute("aria-label", `${camera.camera_id}, ${camera.state}`);
    button.onclick = () => { choose(camera.camera_id); showCameras(); };
    return button;
  }));
  $("cameras").children[at]?.focus();
}

function choose(id) {
  if (id !== chosen) following.select(null);
  chosen = id;
  notice(id ? "the picture starts when its masks are ready…" : "no camera yet: streamrefer camera add NAME SOURCE");
  player.show(id);
}

function showObjects() {
  const newest = player.timeS ?? Date.now() / 1000;
  const near = [...tracks.byId.values()].filter((t) => t.camera === chosen && t.seen > newest - GONE_S);
  objects.show(near, following.selected);
  following.show();
}

const handlers = {
  track: (data) => { tracks.update(data); showObjects(); },
  "track.event": (data) => {
    if (data.kind !== "closed") return;
    const track = tracks.get(data.track_id);
    track.state = "retired";
    track.dropped ||= data.reason === "dropped";
    showObjects();
  },
  "prompt.answer": (data) => {
    if (!data.track_id || !tracks.byId.has(data.track_id)) return;
    tracks.answered(data);
    showObjects();
  },
  partial: (data) => feed.partial(data, tracks.get(data.track_id)),
  narration: (data) => {
    const track = tracks.get(data.track_ids[0]);
    track.label = data.label ?? track.label;
    if (data.text) {
      track.text = data.text;
      if (data.camera_id === chosen) speak(data.text);
    }
    if (!track.frames.length) track.name = data.name ?? ""; // of an older clip than the newest track message
    feed.final(data, track);
    showObjects();
  },
  "camera.state": (data) => {
    const camera = cameras.get(data.camera_id);
    if (!camera) { listCameras(); } else { camera.state = data.state; camera.cause = data.cause; showCameras(); }
    const words = `camera ${data.state}${data.cause ? ": " + data.cause : ""}`;
    feed.fact(data.at_s, data.camera_id, words, data.state === "lost");
    if (data.camera_id === chosen && ["lost", "stopped"].includes(data.state) && player.timeS === null) notice(words);
  },
  gap: (data) => feed.fact(data.end_s, data.camera_id, `gap of ${(data.end_s - data.start_s).toFixed(1)} s: ${data.reason}`, true),
};

function speak(text) {
  $("spoken").textContent = text;
  spokenUntil = performance.now() + SPOKEN_MS;
}

function listen() {
  const source = new EventSource(`/v1/events?replay=true&names=${NAMES}`);
  source.onopen = () => { $("line").textContent = "live"; };
  source.onerror = () => { $("line").textContent = "reconnecting…"; };
  for (const [name, handle] of Object.entries(handlers)) {
    source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  }
}

function frame() {
  const screen = $("screen");
  const { videoWidth, videoHeight } = $("video");
  if (videoWidth) screen.style.aspectRatio = `${videoWidth} / ${videoHeight}`;
  const seen = [chosen, player.timeS, tracks.changes, following.selected, screen.clientWidth].join();
  if (seen !== drawn) {
    const fps = cameras.get(chosen)?.sample_fps ?? 4;
    draw($("overlay"), player.timeS === null ? [] : tracks.at(chosen, player.timeS, fps), following.selected);
  }
  drawn = seen;
  following.draw();
  screen.classList.toggle("held", Boolean(following.correcting));
  if (performance.now() > spokenUntil) $("spoken").textContent = "";
  requestAnimationFrame(frame);
}

listCameras();
setInterval(listCameras, 5000);
listen();
frame();
