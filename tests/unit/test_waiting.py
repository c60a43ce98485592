"""The order of the local queue: which cells wait for which baseline, also where tasks share its weights."""

from bench.cells.identity import Cell
from bench.cells.record import Error
from bench.running.attempt import Event, EventKind
from bench.running.launchers.local.pool import ALIKE, _Waiting
from bench.running.plan import PlannedCell
from bench.settings import Settings


def planned(spec, task="age", fold=0, backbone="small"):
    """A cell whose weights are those of its network and fold, whatever its task."""
    cell = Cell(task, backbone, spec, fold, 0)
    return PlannedCell(cell, str(cell), Settings(task), f"{backbone} {fold}")


AGE, SEX = planned("baseline"), planned("baseline", "sex")
METHODS = [planned("swift"), planned("swift", "sex")]


def end(waiting: _Waiting, cell: PlannedCell, kind: EventKind = "done", name: str = "ValueError") -> None:
    error = Error(name=name, kind="bug") if kind == "failed" else None
    waiting.heard(Event(kind, cell, error=error))


def begin(waiting, cell):
    assert cell in waiting.ready()
    waiting.start(cell)


def test_of_two_tasks_one_trains_the_baseline_and_the_other_finds_it():
    waiting = _Waiting([AGE, SEX, *METHODS])
    assert waiting.ready() == [AGE, SEX], "either may be the one"
    begin(waiting, AGE)
    assert waiting.ready() == [], "neither the other baseline, nor a method of either task"
    end(waiting, AGE)
    assert waiting.ready() == [SEX, *METHODS]
    begin(waiting, SEX)
    assert waiting.ready() == METHODS
    end(waiting, SEX, "failed")  # of its evaluation: the weights are there
    assert waiting.ready() == METHODS
    assert waiting.blocked() == []


def test_if_one_task_fails_to_train_the_baseline_the_other_tries():
    waiting = _Waiting([AGE, SEX, *METHODS])
    begin(waiting, AGE)
    end(waiting, AGE, "failed")
    assert waiting.blocked() == []
    assert waiting.ready() == [SEX]
    begin(waiting, SEX)
    end(waiting, SEX)
    assert waiting.ready() == METHODS, "of the failed task, too: the weights are the same"


def test_methods_are_blocked_once_every_baseline_of_their_weights_failed():
    elsewhere = planned("swift", fold=1)
    waiting = _Waiting([AGE, SEX, *METHODS, elsewhere])
    assert elsewhere in waiting.ready(), "its baseline is done already, so that nobody computes it"
    for cell in (AGE, SEX):
        assert waiting.blocked() == []
        begin(waiting, cell)
        end(waiting, cell, "failed")
    assert waiting.blocked() == [(cell, "its baseline failed") for cell in METHODS]
    assert waiting.cells == [elsewhere]


def test_a_baseline_that_another_process_holds_lets_the_other_task_try():
    waiting = _Waiting([AGE, SEX, *METHODS])
    begin(waiting, AGE)
    end(waiting, AGE, "held")
    assert waiting.ready() == [SEX], "the held one is asked again later"
    begin(waiting, SEX)
    end(waiting, SEX, "put back")
    assert waiting.ready() == [SEX]
    begin(waiting, SEX)
    end(waiting, SEX)
    waiting.later.clear()
    assert set(waiting.ready()) == {AGE, *METHODS}


def test_networks_and_folds_do_not_wait_for_each_other():
    cells = [
        planned(spec, task, fold, network)
        for spec in ("baseline", "swift")
        for network in ("small", "large")
        for task in ("age", "sex")
        for fold in (0, 1)
    ]
    waiting = _Waiting(list(cells))
    ready = waiting.ready()
    assert {p.origin for p in ready} == {"small 0", "small 1", "large 0", "large 1"}
    assert {p.cell.spec for p in ready} == {"baseline"}
    begin(waiting, cells[0])
    end(waiting, cells[0])
    methods = [p for p in waiting.ready() if p.cell.spec == "swift"]
    assert {(p.cell.task, p.origin) for p in methods} == {("age", "small 0"), ("sex", "small 0")}


def test_cells_that_fail_alike_stop_their_method_on_their_task_alone():
    many = [planned("swift", task, fold) for task in ("age", "sex") for fold in range(ALIKE + 2)]
    waiting = _Waiting(list(many))
    for cell in many[:ALIKE]:
        begin(waiting, cell)
        end(waiting, cell, "failed")
    assert [p for p, _ in waiting.blocked()] == many[ALIKE : ALIKE + 2]
    assert waiting.ready() == many[ALIKE + 2 :]


def test_baselines_that_are_stopped_because_others_failed_alike_count_as_failed():
    """Each fold has its own weights: the methods of the folds whose baseline is not started have none to wait for."""
    folds = range(ALIKE + 1)
    baselines, methods = ([planned(spec, fold=fold) for fold in folds] for spec in ("baseline", "swift"))
    waiting = _Waiting([*baselines, *methods])
    for cell in baselines[:ALIKE]:
        begin(waiting, cell)
        end(waiting, cell, "failed")
    blocked = dict(waiting.blocked()) | dict(waiting.blocked())
    assert set(blocked) == {baselines[ALIKE], *methods}
    assert waiting.cells == []
