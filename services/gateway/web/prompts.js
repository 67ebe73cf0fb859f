// Prompts to the tracker over the API, and what became of them in words.
import { number } from "./tracks.js";

const TIMEOUT_S = 20;
const DONE = {
  followed: "is followed",
  already_followed: "is followed already",
  corrected: "is corrected",
  pinned: "is pinned: it is kept until you drop it",
  unpinned: "is not pinned any more",
  dropped: "is dropped",
};

// Resolves to {ok, words, answer}; never rejects, and never waits much longer than the gateway does.
export async function ask(camera, body) {
  try {
    const response = await fetch(`/v1/cameras/${camera}/prompts`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ timeout_s: TIMEOUT_S, ...body }),
      signal: AbortSignal.timeout((TIMEOUT_S + 15) * 1000),
    });
    const answer = await response.json();
    if (!response.ok) return { ok: false, words: refusal(answer), answer };
    return { ok: true, words: success(answer), answer };
  } catch {
    return { ok: false, words: "The gateway does not answer. Try again.", answer: {} };
  }
}

function success(answer) {
  const who = answer.name || `#${number(answer.track_id)}`;
  if (answer.code === "renamed") return answer.name ? `Its name is ${answer.name} now` : `${who} has no name any more`;
  return `${who} ${DONE[answer.code] ?? answer.code}`;
}

function refusal({ detail = "It was refused", hint }) {
  const why = detail.charAt(0).toUpperCase() + detail.slice(1);
  return hint ? `${why}: ${hint}` : why;
}
