"""The judge: a real HTTP server that answers as told; strict reading, memory, and the protocols that use it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recipes.benchmarks import judge as judging
from recipes.benchmarks.bench_d_judge import description_scores, judge_description
from recipes.benchmarks.dlc_bench import chosen_of, dlc_scores, judge_dlc
from recipes.benchmarks.judge import KEY_VARIABLE, Judge, JudgeError, object_in, scores_in
from recipes.benchmarks.pam_streaming import by_video, judge_continuity


class Server:
    """Answers every question by ``reply``: a text, or a status."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        self.reply: Callable[[dict], str | int] = lambda body: "{}"
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.asked.append(body | {"path": self.path})
                server.keys.append(self.headers.get("Authorization"))
                reply = server.reply(body)
                content = json.dumps({"choices": [{"message": {"content": reply}}]}).encode()
                self.send_response(reply if isinstance(reply, int) else 200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(judging, "WAIT_S", 0.01)
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


RECORD = {"key": "1", "answer": "A red ball rolls.", "reference": "A red ball rolls left.", "facts": {}}
GOOD = '{"subject": 5, "appearance": 4.5, "motion": 3, "hallucination": 5}'


def test_a_description_is_scored_once(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    server.reply = lambda body: GOOD
    cache = tmp_path / "deep" / "judge.jsonl"
    verdict = judge_description(Judge(server.url, "m", cache), RECORD)
    assert verdict == {"subject": 5, "appearance": 4.5, "motion": 3, "hallucination": 5}
    asked = server.asked[0]
    assert asked["path"] == "/v1/chat/completions" and asked["model"] == "m" and asked["temperature"] == 0
    assert RECORD["answer"] in asked["messages"][1]["content"] and server.keys == ["Bearer secret"]
    with cache.open("a") as file:
        file.write('{"key": "cut o')
    assert judge_description(Judge(server.url, "m", cache), RECORD) == verdict
    assert len(server.asked) == 1
    judge_description(Judge(server.url, "another", cache), RECORD)
    assert len(server.asked) == 2


def test_an_unreadable_reply_is_asked_for_again_and_then_left_unjudged(
    server: Server, tmp_path: Path
) -> None:
    replies = iter(["four of five", '{"subject": 9}', f"```json\n{GOOD}\n```", "no", "no", "no"])
    server.reply = lambda body: next(replies)
    judge = Judge(server.url, "m", tmp_path / "judge.jsonl")
    assert judge_description(judge, RECORD) is not None
    assert judge_description(judge, RECORD | {"answer": "other"}) is None
    assert len(server.asked) == 6


def test_a_refusal_ends_at_once_and_a_fault_is_tried_again(server: Server, tmp_path: Path) -> None:
    judge = Judge(server.url, "m", tmp_path / "judge.jsonl")
    server.reply = lambda body: 401
    with pytest.raises(JudgeError, match="401"):
        judge.ask("rules", "text", object_in)
    assert len(server.asked) == 1
    replies = iter([503, 429, "{}"])
    server.reply = lambda body: next(replies)
    assert judge.ask("rules", "text", object_in) == {}
    server.reply = lambda body: 503
    with pytest.raises(JudgeError, match="503"):
        judge.ask("rules", "another", object_in)
    with pytest.raises(JudgeError, match="http"):
        Judge("file:///etc/passwd", "m", tmp_path / "judge.jsonl")


def test_an_absent_judge_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "WAIT_S", 0.0)
    with pytest.raises(JudgeError, match="gave no answer"):
        Judge("http://127.0.0.1:9", "m", tmp_path / "judge.jsonl", timeout_s=2).ask("r", "t", object_in)


def test_scores_are_read_strictly() -> None:
    assert scores_in('{"a": 0, "b": 5}', ("a", "b")) == {"a": 0.0, "b": 5.0}
    for reply in (
        '{"a": 1}',
        '{"a": 1, "b": 5.1}',
        '{"a": 1, "b": true}',
        '{"a": 1, "b": "3"}',
        "[1, 2]",
        "a: 1",
    ):
        assert scores_in(reply, ("a", "b")) is None


def test_means_of_descriptions() -> None:
    low, high = dict.fromkeys(("subject", "appearance", "motion", "hallucination"), 1.0), json.loads(GOOD)
    assert description_scores([low, high])["mean"] == pytest.approx((3 + 2.75 + 2 + 3) / 4)
    assert description_scores([])["mean"] is None


QUESTIONS = [
    {"question": "Red?", "type": "positive", "choices": [["Red", 1], ["Blue", -1]]},
    {"question": "Round?", "type": "positive", "choices": [["Yes", 0.5], ["Unsaid", 0]]},
    {"question": "Wheels?", "type": "negative", "choices": [["Yes", -1], ["No", 1]]},
]


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        (["A. Yes", "A", "(B)", "B"], {"recognised": True, "positive": 0.5, "negative": 1.0}),
        (["B", "A", "B", "A"], {"recognised": False, "positive": 0.0, "negative": -1.0}),
        (["A", "Q", "maybe", "C"], None),
    ],
)
def test_regions_are_judged_by_questions(
    server: Server, tmp_path: Path, replies: list[str], expected: dict | None
) -> None:
    given = iter(replies)
    server.reply = lambda body: next(given)
    record = RECORD | {"facts": {"class": "ball", "questions": QUESTIONS}}
    assert judge_dlc(Judge(server.url, "m", tmp_path / "judge.jsonl"), record) == expected


def test_scores_of_regions_are_means_of_both_kinds() -> None:
    verdicts = [
        {"recognised": True, "positive": 0.5, "negative": 1.0},
        {"recognised": False, "positive": 0.0, "negative": None},
    ]
    assert dlc_scores(verdicts) == {"positive": 0.25, "negative": 1.0, "score": 0.625, "recognised": 0.5}
    assert chosen_of("Because", 3) is None and chosen_of("C", 2) is None and chosen_of("c", 3) is None


def test_continuity_is_judged_a_video_at_a_time(server: Server, tmp_path: Path) -> None:
    server.reply = lambda body: '{"continuity": 3.5}'
    records = [
        RECORD | {"answer": text, "facts": {"video": video}}
        for text, video in (("x", "v"), ("y", "w"), ("z", "v"))
    ]
    videos = by_video(records)
    assert [[record["answer"] for record in video] for video in videos] == [["x", "z"], ["y"]]
    assert judge_continuity(Judge(server.url, "m", tmp_path / "judge.jsonl"), videos[0]) == 3.5
    assert "1. x\n2. z" in server.asked[0]["messages"][1]["content"]
