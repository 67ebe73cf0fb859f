// A click on the picture becomes a prompt to follow what is there; returns what became of it, in words.
import { number } from "./tracks.js";

export async function follow(camera, event, timeS) {
  const { left, top, width, height } = event.currentTarget.getBoundingClientRect();
  const inside = (value) => Math.min(1, Math.max(0, value));
  const point = { x: inside((event.clientX - left) / width), y: inside((event.clientY - top) / height) };
  const body = { kind: "follow", mark: { points: [point] }, at_s: timeS };
  try {
    const response = await fetch(`/v1/cameras/${camera}/prompts`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) return answer.detail;
    const known = answer.code === "already_followed" ? " already" : "";
    return `${answer.name ?? "#" + number(answer.track_id)} is followed${known}`;
  } catch {
    return "the gateway does not answer";
  }
}
