// The live picture of one camera: fragmented MP4 through Media Source, reopened when an epoch ends.

const BUFFER_KEEP_S = 30;
const RETRY_MS = 1500;
const START_BUFFER_S = 4.5; // the tracker hands over a clip at a time: start with about one in hand

export class Player {
  constructor(video, notice) {
    this.video = video;
    this.notice = notice;
    this.baseS = null;
    this.camera = null;
    this.held = false;
  }

  // Camera time of the picture on screen, or null.
  get timeS() {
    return this.baseS === null || this.video.readyState < 2 ? null : this.baseS + this.video.currentTime;
  }

  // The picture stands still while somebody marks it.
  hold() {
    this.held = true;
    this.video.pause();
  }

  // On it goes, as near to the newest picture as before.
  release() {
    if (!this.held) return;
    this.held = false;
    const ranges = this.video.buffered;
    const end = ranges.length ? ranges.end(ranges.length - 1) : 0;
    if (end - this.video.currentTime > START_BUFFER_S + 1) this.video.currentTime = end - START_BUFFER_S;
    this.video.play().catch(() => {});
  }

  show(camera) {
    if (camera === this.camera) return;
    this.camera = camera;
    this.abort?.abort();
    if (camera) this.loop(camera, (this.abort = new AbortController()));
  }

  async loop(camera, abort) {
    while (!abort.signal.aborted) {
      try {
        await this.play(camera, abort.signal);
      } catch (error) {
        if (abort.signal.aborted) return;
        this.notice(error.message || "no picture");
      }
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }

  async play(camera, signal) {
    const response = await fetch(`/v1/cameras/${camera}/live.mp4`, { signal });
    if (!response.ok) throw new Error((await response.json()).detail);
    const type = `video/mp4; codecs="${response.headers.get("X-Codecs")}"`;
    if (!MediaSource.isTypeSupported(type)) throw new Error("this browser cannot show the camera's video");
    const source = new MediaSource();
    this.video.src = URL.createObjectURL(source);
    await once(source, "sourceopen", signal);
    const buffer = source.addSourceBuffer(type);
    this.baseS = parseFloat(response.headers.get("X-Base-Time"));
    await this.feed(response.body.getReader(), buffer, signal);
    if (source.readyState === "open") source.endOfStream();
    await this.playedOut(signal);
  }

  async feed(reader, buffer, signal) {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      buffer.appendBuffer(value);
      await once(buffer, "updateend", signal);
      this.begin();
      const past = this.video.currentTime - BUFFER_KEEP_S;
      if (past > 5) {
        buffer.remove(0, past);
        await once(buffer, "updateend", signal);
      }
    }
  }

  // Start once there is enough in hand; later, jump forward when the picture has fallen far behind.
  begin() {
    const ranges = this.video.buffered;
    if (!ranges.length || this.held) return;
    const end = ranges.end(ranges.length - 1);
    const start = ranges.start(ranges.length - 1);
    if (this.video.paused && end - Math.max(start, this.video.currentTime) >= Math.min(START_BUFFER_S, 1 + end)) {
      if (this.video.currentTime < start) this.video.currentTime = start;
      this.video.play().catch(() => {});
      this.notice("");
    } else if (this.video.currentTime < start || end - this.video.currentTime > 15) {
      this.video.currentTime = Math.max(start, end - START_BUFFER_S);
    }
  }

  async playedOut(signal) {
    if (this.video.paused && !this.held) this.video.play().catch(() => {});
    this.notice("");
    const deadline = performance.now() + 20000;
    while (!this.video.ended && !signal.aborted && performance.now() < deadline) {
      await new Promise((done) => setTimeout(done, 100));
    }
  }
}

function once(target, name, signal) {
  return new Promise((done, fail) => {
    target.addEventListener(name, done, { once: true });
    signal.addEventListener("abort", () => fail(new Error("stopped")), { once: true });
  });
}
