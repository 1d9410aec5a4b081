"""Views for consistent scans on real hosts: linearizable, bounded, and gone in time."""

from __future__ import annotations

import pytest

from cluster.ids import GroupId, PartitionId, ReplicaId, group_of
from kvstore.codec.record import record_value
from kvstore.codec.scan import Page, Scan, ViewAction, decode_page
from kvstore.errors import CorruptionError
from kvstore.replica import scan_views
from kvstore.replica.requests import ReadRequest, Status
from kvstore.replica.scan_views import IDLE_TICKS_MAX, VIEWS_MAX
from tests.replica.world import LONG_TICKS, Answers, World, value_of

U32_MAX = 2**32 - 1
GROUP = group_of(PartitionId(0))


class Stage:
    """A world, and what is asked of partition 0."""

    def __init__(self) -> None:
        self.world = World(size=3)
        self.world.until(self.world.serves)
        leader = self.world.leader_of(GROUP)
        assert leader is not None
        self.leader = leader
        numbers = (b"%05d" % number for number in range(100_000))
        self.keys = [key for key in numbers if self.world.partition_of(key) == 0][:40]

    @property
    def views(self) -> int:
        """On the node that leads at first."""
        return len(self.world.members[self.leader].host.scan_views)

    def put(self, key: bytes, value: bytes) -> None:
        answer = self.world.put(key, value)
        self.world.until(lambda: answer.answer is not None)
        assert answer.status is Status.OK

    def fill(self, value: bytes) -> None:
        for key in self.keys:
            self.put(key, value)

    def ask(
        self,
        action: ViewAction,
        start: bytes = b"",
        *,
        view: int = 1,
        at: ReplicaId | None = None,
        group: GroupId = GROUP,
    ) -> Answers:
        """A question that is under way."""
        answers = Answers()
        scan = Scan(start, None, 10, U32_MAX, view_action=action, view=view)
        host = self.world.members[self.leader if at is None else at].host
        host.read(group, ReadRequest(answers, 0, scan), LONG_TICKS)
        return answers

    def answer(self, action: ViewAction, start: bytes = b"", **more: int) -> Answers:
        answers = self.ask(action, start, **more)  # type: ignore[arg-type]  # numbers are ids
        self.world.until(lambda: answers.answer is not None)
        return answers

    def page(self, action: ViewAction, start: bytes = b"", **more: int) -> Page:
        answers = self.answer(action, start, **more)
        assert answers.answer is not None
        assert answers.status is Status.OK, answers.answer
        return decode_page(answers.answer.result)

    def rest(self, view: int = 1) -> dict[bytes, bytes]:
        """All that an open view shows."""
        found: dict[bytes, bytes] = {}
        start, more = b"", True
        while more:
            page = self.page(ViewAction.READ, start, view=view)
            found |= zip(page.keys, map(record_value, page.records), strict=True)
            start, more = page.keys[-1] + b"\0", page.more
        return found


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_view_stays_as_it_was_when_it_was_opened(stage: Stage) -> None:
    stage.fill(b"before")
    first = stage.page(ViewAction.OPEN)
    assert first.revision == len(stage.keys)
    stage.fill(b"after")
    assert stage.rest() == dict.fromkeys(stage.keys, b"before")
    assert stage.page(ViewAction.READ).revision == first.revision
    assert stage.page(ViewAction.NONE).records != first.records


def test_a_view_shows_every_write_that_was_acknowledged_before(stage: Stage) -> None:
    stage.put(stage.keys[0], b"acknowledged")
    page = stage.page(ViewAction.OPEN)
    assert [record_value(record) for record in page.records] == [b"acknowledged"]


def test_who_was_deposed_and_does_not_know_opens_no_view(stage: Stage) -> None:
    """It leads as far as it knows; others have taken writes since."""
    stage.fill(b"old")
    stage.world.isolate(stage.leader)
    asked = stage.ask(ViewAction.OPEN)
    stage.world.run()
    assert asked.answer is None
    stage.world.until(lambda: asked.answer is not None)
    assert asked.status is not Status.OK
    assert stage.views == 0


def test_an_opening_that_is_asked_again_gives_the_view_that_there_is(stage: Stage) -> None:
    stage.fill(b"before")
    first = stage.page(ViewAction.OPEN)
    stage.fill(b"after")
    assert stage.page(ViewAction.OPEN) == first
    assert stage.views == 1


def test_losing_the_leadership_changes_nothing_of_a_view(stage: Stage) -> None:
    stage.fill(b"before")
    stage.page(ViewAction.OPEN)
    stage.world.isolate(stage.leader)
    stage.world.until(lambda: stage.world.leader_of(GROUP) != stage.leader)
    stage.fill(b"after")
    assert stage.rest() == dict.fromkeys(stage.keys, b"before")


def test_another_partition_or_number_has_no_view(stage: Stage) -> None:
    stage.fill(b"v")
    stage.page(ViewAction.OPEN)
    elsewhere = stage.world.leader_of(GroupId(GROUP + 1))
    assert elsewhere is not None
    for answers in (
        stage.answer(ViewAction.READ, group=GroupId(GROUP + 1), at=elsewhere),
        stage.answer(ViewAction.READ, view=2),
        stage.answer(ViewAction.KEEP, view=2),
    ):
        assert answers.answer is not None
        assert answers.status is Status.EXPIRED
        assert "Begin the scan anew" in answers.answer.detail


def test_who_has_no_view_and_does_not_lead_names_who_does(stage: Stage) -> None:
    stage.fill(b"v")
    stage.page(ViewAction.OPEN)
    other = next(me for me in stage.world.members_ids if me != stage.leader)
    answers = stage.answer(ViewAction.READ, at=other)
    assert answers.answer is not None
    assert (answers.status, answers.answer.leader) == (Status.NOT_LEADER, stage.leader)


def test_a_new_leader_has_no_view(stage: Stage) -> None:
    stage.fill(b"v")
    stage.page(ViewAction.OPEN)
    stage.world.isolate(stage.leader)
    stage.world.until(lambda: stage.world.leader_of(GROUP) != stage.leader)
    new = stage.world.leader_of(GROUP)
    assert new is not None
    assert stage.answer(ViewAction.READ, at=new).status is Status.EXPIRED


def test_a_view_that_is_closed_is_gone(stage: Stage) -> None:
    stage.fill(b"v")
    stage.page(ViewAction.OPEN)
    assert stage.views == 1
    for _twice in range(2):
        assert stage.page(ViewAction.CLOSE) == Page([], [], more=False)
    assert stage.views == 0
    assert stage.answer(ViewAction.READ).status is Status.EXPIRED


def test_a_view_of_which_nothing_is_asked_is_let_go_of(stage: Stage) -> None:
    stage.fill(b"v")
    stage.page(ViewAction.OPEN, view=1)
    stage.page(ViewAction.OPEN, view=2)
    stage.page(ViewAction.OPEN, view=3)
    stage.world.tick(IDLE_TICKS_MAX - 20)
    assert stage.page(ViewAction.KEEP, view=2).keys == []
    assert stage.page(ViewAction.READ, view=3).keys
    stage.world.tick(21)
    assert stage.views == 2
    assert stage.answer(ViewAction.READ, view=1).status is Status.EXPIRED
    stage.world.tick(IDLE_TICKS_MAX + 1)
    assert stage.views == 0


def test_only_so_many_views_are_open_at_once_and_closing_makes_room(stage: Stage) -> None:
    stage.fill(b"v")
    for view in range(1, VIEWS_MAX + 1):
        stage.page(ViewAction.OPEN, view=view)
    refused = stage.answer(ViewAction.OPEN, view=VIEWS_MAX + 1)
    assert refused.answer is not None
    assert refused.status is Status.OVERLOADED
    assert f"{VIEWS_MAX} views are being read" in refused.answer.detail
    assert stage.views == VIEWS_MAX
    stage.page(ViewAction.OPEN, view=1)
    stage.page(ViewAction.CLOSE, view=7)
    stage.page(ViewAction.OPEN, view=VIEWS_MAX + 1)


def test_there_is_room_for_two_scans_of_all_partitions(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_views, "VIEWS_MAX", 1)
    stage.put(stage.keys[0], b"v")
    groups = len(stage.world.members[stage.leader].host.replicas)
    for view in range(2 * groups):
        stage.page(ViewAction.OPEN, view=view)
    assert stage.answer(ViewAction.OPEN, view=2 * groups).status is Status.OVERLOADED


def test_a_node_that_stops_lets_go_of_views_and_refuses(stage: Stage) -> None:
    stage.fill(b"v")
    stage.page(ViewAction.OPEN)
    stage.world.members[stage.leader].host.stop()
    assert stage.views == 0
    assert stage.ask(ViewAction.READ).status is Status.UNAVAILABLE


def test_damage_found_in_a_view_stops_the_node(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.fill(b"v")
    stage.page(ViewAction.OPEN)

    def damaged(*_arguments: object, **_named: object) -> None:
        raise CorruptionError("a block does not match its checksum")

    monkeypatch.setattr("kvstore.storage.memory_engine.MemoryView.scan", damaged)
    assert stage.ask(ViewAction.READ).status is Status.UNAVAILABLE
    (problem,) = stage.world.problems()
    assert isinstance(problem, CorruptionError)
    assert stage.views == 0


def test_other_reads_go_on_beside_views(stage: Stage) -> None:
    stage.fill(b"before")
    stage.page(ViewAction.OPEN)
    stage.put(stage.keys[0], b"after")
    read = stage.world.get(stage.keys[0])
    stage.world.until(lambda: read.answer is not None)
    assert value_of(read) == b"after"
