"""The session: equal to the package's predictor, indifferent to clip lengths, exactly restorable, bounded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from modeling.sam2.network import Network
from modeling.sam2.segmenter import opener
from modeling.sam2.session import Sam2Session
from modeling.sam2.values import Step
from recipes.parity.official_sam2 import Act, OfficialRun
from tests.modeling.sam2_models import noise, recorded_network, recorded_pictures, tiny_network

ROOT = Path(__file__).resolve().parents[2]
MASK_SIZE = (45, 60)
ONE, TWO, THREE, FOUR = 1, 2, 3, 4


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def click(step: int, object_id: int, x: float, y: float, label: int = 1) -> Act:
    return Act(step, object_id, points=numbers(x, y)[None], labels=np.array([label], np.int32))


def block(step: int, object_id: int) -> Act:
    mask = np.zeros(MASK_SIZE, bool)
    mask[22:34, 18:33] = True
    return Act(step, object_id, mask=mask)


# Clicks, a late box, corrections, a mask, a removal, two prompts on one picture, four prompts of one object.
STORY = [
    Act(
        0, ONE, points=np.stack([numbers(0.25, 0.4), numbers(0.83, 0.11)]), labels=np.array([1, 0], np.int32)
    ),
    Act(5, TWO, box=numbers(0.41, 0.58, 0.71, 0.84)),
    click(8, ONE, 0.45, 0.42, label=0),
    block(8, THREE),
    Act(12, TWO),
    click(20, FOUR, 0.5, 0.5),
    click(20, FOUR, 0.55, 0.5, label=0),
    Act(30, THREE, box=numbers(0.2, 0.2, 0.5, 0.6)),
    block(33, THREE),
    click(40, THREE, 0.3, 0.6),
]


@pytest.fixture(autouse=True)
def one_thread() -> Iterable[None]:
    """With several threads two runs of one program already differ in the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def open_session(network: Network) -> Sam2Session:
    return opener(network)(MASK_SIZE)


def act_out(session: Sam2Session, acts: Iterable[Act], ids: dict[int, int]) -> dict[int, Step]:
    """Do what is due on the newest picture; ``ids`` maps the story's objects to the session's."""
    found = {}
    for act in acts:
        if act.removes:
            session.remove_object(ids.pop(act.object_id))
        elif act.object_id in ids:
            found[act.object_id] = session.correct(ids[act.object_id], act)
        else:
            ids[act.object_id], found[act.object_id] = session.add_object(act)
    return found


def run(
    session: Sam2Session,
    pictures: Sequence[np.ndarray],
    story: Sequence[Act],
    clip: int,
    restart: bool = False,
) -> list[dict[int, tuple[torch.Tensor, Step]]]:
    """Every step's logits and answers by object; with ``restart`` a new session goes on after every clip."""
    ids: dict[int, int] = {}
    told = []
    for start in range(0, len(pictures), clip):
        part = pictures[start : start + clip]
        session.begin_clip(part)
        for step in range(start, start + len(part)):
            answers = session.step()
            found = {name: answers[key] for name, key in ids.items()}
            found |= act_out(session, [act for act in story if act.step == step], ids)
            told.append({name: (session.logits(key).clone(), found[name]) for name, key in ids.items()})
        if restart:
            state = session.export_state()
            session = open_session(session._network)
            session.import_state(state)
    return told


def same(ours: list, theirs: list) -> bool:
    return len(ours) == len(theirs) and all(
        a.keys() == b.keys() and all(torch.equal(a[key][0], b[key][0]) for key in a)
        for a, b in zip(ours, theirs, strict=True)
    )


def test_forgetting_what_cannot_be_read_changes_nothing() -> None:
    pictures = recorded_pictures(64)
    network = recorded_network()
    ours = run(open_session(network), pictures, STORY, clip=16)
    present = 0
    for step, theirs in OfficialRun(network.model, pictures, MASK_SIZE).outputs(STORY):
        assert ours[step].keys() == theirs.keys()
        for name, kept in theirs.items():
            assert torch.equal(ours[step][name][0], kept["low_res_logits"]), f"object {name}, step {step}"
            assert ours[step][name][1].presence == float(kept["object_score_logit"])
            present += bool(kept["object_score_logit"] > 0)
    assert present > 40, "the story must not be about absent objects only"


@pytest.mark.parametrize("clip", [1, 3])
def test_clip_lengths_do_not_matter(clip: int) -> None:
    pictures = recorded_pictures(12)
    whole = run(open_session(recorded_network()), pictures, STORY, clip=12)
    split = run(open_session(recorded_network()), pictures, STORY, clip=clip)
    for a, b in zip(whole, split, strict=True):
        for name in a:
            torch.testing.assert_close(a[name][0], b[name][0], atol=1e-4, rtol=0)
            assert (a[name][1].mask != b[name][1].mask).mean() < 1e-3


def test_with_pictures_encoded_one_by_one_clips_of_any_length_are_the_same_bits() -> None:
    pictures, network = recorded_pictures(16), Network(recorded_network().model, encode_batch=1)
    whole = run(open_session(network), pictures, STORY, clip=16)
    for clip in (1, 3, 8):
        assert same(run(open_session(network), pictures, STORY, clip=clip), whole), f"clips of {clip}"


ELSEWHERE = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from tests.modeling.test_sam2_session import open_session, tiny_network, noise

torch.set_num_threads(1)
folder = Path(sys.argv[1])
session = open_session(tiny_network())
session.import_state({part.name: part.read_bytes() for part in (folder / "state").iterdir()})
session.begin_clip(noise(4, seed=7))
told = {}
for step in range(4):
    session.step()
    told |= {f"{step}.{key}": session.logits(key).contiguous() for key in session.object_ids}
save_file(told, folder / "told")
"""


def test_another_process_continues_bit_for_bit(tmp_path: Path) -> None:
    session, ids = open_session(tiny_network()), {}
    for step, picture in enumerate(noise(9)):
        session.begin_clip([picture])
        session.step()
        act_out(session, [click(step, step, 0.3, 0.5)] if step in (0, 4) else [], ids)
    (tmp_path / "state").mkdir()
    for name, data in session.export_state().items():
        (tmp_path / "state" / name).write_bytes(data)
    subprocess.run([sys.executable, "-c", ELSEWHERE, str(tmp_path)], check=True, cwd=ROOT, timeout=120)
    told = load_file(tmp_path / "told")
    session.begin_clip(noise(4, seed=7))
    for step in range(4):
        session.step()
        for key in session.object_ids:
            assert torch.equal(told.pop(f"{step}.{key}"), session.logits(key))
    assert not told


def test_a_restored_session_continues_bit_for_bit() -> None:
    pictures = recorded_pictures(24)
    network = recorded_network(object_batch=16)
    assert same(
        run(open_session(network), pictures, STORY, clip=1),
        run(open_session(network), pictures, STORY, clip=1, restart=True),
    )


def test_objects_in_one_batch_do_not_touch_each_other() -> None:
    pictures = recorded_pictures(12)
    story = [click(0, name, 0.2 + 0.15 * name, 0.5) for name in (ONE, TWO, THREE)]
    alone = run(open_session(recorded_network(1)), pictures, story, clip=12)
    batch = run(open_session(recorded_network(16)), pictures, story, clip=12)
    for name in (ONE, TWO, THREE):  # one step after the prompt: later, random weights amplify rounding
        torch.testing.assert_close(alone[1][name][0], batch[1][name][0], atol=1e-3, rtol=0)


def test_two_cameras_on_one_network_are_each_as_alone() -> None:
    network, pictures = recorded_network(), recorded_pictures(8)
    other = [picture[:, ::-1].copy() for picture in pictures]
    alone = run(open_session(network), pictures, [click(0, ONE, 0.4, 0.5)], clip=1)
    first, second = open_session(network), open_session(network)
    told, ids, others = [], {}, {}
    for step, (mine, theirs) in enumerate(zip(pictures, other, strict=True)):
        for session, picture, names in ((first, mine, ids), (second, theirs, others)):
            session.begin_clip([picture])
            session.step()
            act_out(session, [click(0, ONE, 0.4, 0.5)] if step == 0 else [], names)
        if step == 4:
            second.remove_object(others.pop(ONE))
        told.append({ONE: (first.logits(ids[ONE]).clone(), None)})
    assert same(alone, told)


def test_states_of_other_models_are_refused() -> None:
    session = open_session(tiny_network())
    session.begin_clip(noise(1))
    session.step()
    session.add_object(click(0, ONE, 0.5, 0.5))
    state = session.export_state()
    other = tiny_network()
    with torch.no_grad():
        other.model.no_mem_embed += 1
    fresh = open_session(other)
    with pytest.raises(ValueError, match="model with other weights"):
        fresh.import_state(state)
    for name, part in state.items():
        for broken in (b"", b"nonsense that is long enough", part[:-10], part[:100]):
            with pytest.raises(ValueError, match="session state"):
                open_session(tiny_network()).import_state({**state, name: broken})
        with pytest.raises(ValueError, match=f"part '{name}' is missing"):
            open_session(tiny_network()).import_state({key: x for key, x in state.items() if key != name})
    again = open_session(tiny_network())
    again.import_state(state)
    assert again.object_ids == session.object_ids


def test_conditioning_memories_are_parts_that_stay_the_same() -> None:
    session, states, ids = open_session(tiny_network()), [], {}
    for step, picture in enumerate(noise(8)):
        session.begin_clip([picture])
        session.step()
        one = block(step, ONE)
        two = Act(step, TWO, mask=one.mask[::-1].copy())
        act_out(session, [one, two] if step in (0, 5) else [], ids)
        states.append(session.export_state())
    lasting = [state.keys() - {"session"} for state in states]
    assert [len(names) for names in lasting] == [2] * 5 + [4] * 3
    assert lasting[0] < lasting[5] == lasting[7]
    assert all(states[0][name] == states[7][name] for name in lasting[0])
    assert len({state["session"] for state in states}) == 8


def test_ids_are_not_used_twice() -> None:
    session = open_session(tiny_network())
    session.begin_clip(noise(1))
    session.step()
    first, _ = session.add_object(click(0, ONE, 0.5, 0.5))
    session.remove_object(first)
    fresh = open_session(tiny_network())
    fresh.import_state(session.export_state())
    fresh.begin_clip(noise(1))
    fresh.step()
    second, _ = fresh.add_object(click(0, ONE, 0.5, 0.5))
    assert second != first
    with pytest.raises(ValueError, match=f"object {first}: not followed"):
        fresh.correct(first, click(0, ONE, 0.5, 0.5))


def test_calls_out_of_order_say_what_to_do() -> None:
    session = open_session(tiny_network())
    with pytest.raises(RuntimeError, match="call begin_clip"):
        session.step()
    with pytest.raises(RuntimeError, match="call begin_clip and step"):
        session.add_object(click(0, ONE, 0.5, 0.5))
    session.begin_clip(noise(2))
    with pytest.raises(RuntimeError, match="2 pictures of the last clip"):
        session.begin_clip(noise(1))


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (click(0, ONE, 1.5, 0.5), "normalised"),
        (click(0, ONE, float("nan"), 0.5), "normalised"),
        (Act(0, ONE, mask=np.zeros((4, 4), bool)), "some pixel set"),
        (Act(0, ONE, points=numbers(0.5, 0.5)[None]), "as many labels"),
    ],
)
def test_bad_prompts_are_refused(act: Act, says: str) -> None:
    session = open_session(tiny_network())
    session.begin_clip(noise(1))
    session.step()
    with pytest.raises(ValueError, match=says):
        session.add_object(act)
    assert session.object_ids == ()


def test_a_retracted_step_is_not_remembered() -> None:
    """After a retraction memory, appearance and state are those of before the step; later steps go on."""
    session = open_session(tiny_network())
    session.begin_clip(noise(4))
    session.step()
    key, _ = session.add_object(block(0, ONE))
    session.step()
    held = session._objects[key]
    before = {kind: dict(getattr(held.memory, kind)) for kind in ("anchors", "features", "pointers")}
    look = session.embedding(key)
    session.step()
    assert held.memory.features.keys() > before["features"].keys()
    session.retract(key)
    memory = session._objects[key].memory
    for kind, entries in before.items():
        assert getattr(memory, kind).keys() == entries.keys(), kind
    np.testing.assert_array_equal(session.embedding(key), look)
    assert key in session.step()


def test_a_click_answers_as_the_first_prompt_does() -> None:
    session = open_session(recorded_network())
    session.begin_clip(recorded_pictures(1))
    session.step()
    points = np.array([[0.3, 0.4], [0.6, 0.6], [0.5, 0.2]], np.float32)
    for point, found in zip(points, session.candidates(points), strict=True):
        _, step = session.add_object(click(0, ONE, *point.tolist()))
        assert found.presence == pytest.approx(step.presence, abs=1e-4)
        assert found.score == pytest.approx(step.score, abs=1e-4)
        if step.presence > 0:
            assert (found.mask != step.mask).mean() < 1e-3


def test_a_mask_is_followed_from_where_it_is() -> None:
    session = open_session(tiny_network())
    session.begin_clip(noise(1))
    session.step()
    act = block(0, ONE)
    key, step = session.add_object(act)
    inner, outer = act.mask.sum() * 0.8, act.mask.sum() * 1.2
    assert inner <= step.mask.sum() <= outer and (step.mask & act.mask).sum() >= inner
    assert step.presence > 0 and step.score == 1.0
    assert session.embedding(key).shape == (32,)


def test_pictures_of_another_size_are_the_same_view() -> None:
    """A camera that changes its size in the middle, also after a take-over: masks stay on the session's grid."""
    network = tiny_network()
    session, (first, second) = open_session(network), noise(2)
    large = second.repeat(2, axis=0).repeat(3, axis=1)
    session.begin_clip([first])
    session.step()
    key, _ = session.add_object(block(0, ONE))
    state = session.export_state()
    session.begin_clip([large, second])
    told = [session.step()[key].mask.shape for _ in range(2)]
    again = open_session(network)
    again.import_state(state)
    again.begin_clip([large])
    told.append(again.step()[key].mask.shape)
    assert told == [MASK_SIZE] * 3 and again.object_ids == session.object_ids


def test_memory_is_bounded_by_the_limits() -> None:
    session = open_session(tiny_network())
    held, ids = [], {}
    for step, picture in enumerate(noise(60)):
        session.begin_clip([picture])
        session.step()
        acts = [click(step, ONE, 0.5, 0.5)] if step in (0, 2, 4, 6, 8, 10) else []
        act_out(session, acts, ids)
        held.append(session.num_bytes)
    assert len(set(held[30:])) == 1 and held[30] == max(held)


@pytest.mark.slow
def test_five_thousand_steps_hold_as_much_as_sixteen() -> None:
    session = open_session(tiny_network())
    pictures, held, written, ids = noise(50), set(), [], {}
    for start in range(0, 5000, 50):
        session.begin_clip(pictures)
        for step in range(start, start + 50):
            session.step()
            act_out(session, [click(0, ONE, 0.5, 0.5), click(0, TWO, 0.2, 0.2)] if step == 0 else [], ids)
            if step % 25 == 24:  # two hundred objects come and go
                key, _ = session.add_object(click(step, THREE, 0.7, 0.7))
                session.remove_object(key)
            if step > 16:
                held.add(session.num_bytes)
        written.append(sum(map(len, session.export_state().values())))
    assert len(held) == 1
    assert max(written) - min(written) < 256, "names hold the numbers of steps, which grow by digits"
    assert session.object_ids == tuple(ids.values())
