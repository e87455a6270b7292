"""Samples get the evaluation's own pixels and scores; the most extreme are the most extreme."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakeface.detector.batches import load_split
from fakeface.detector.detector import Detector
from fakeface.detector.views import protocol_kinds
from fakeface.evaluation.evaluate import predict_protocols
from fakeface.evaluation.explain import judge
from fakeface.params import Params

from .conftest import MakeJudged


def test_a_sample_has_the_scores_of_the_evaluation(
    tiny_params: Params, image_sets: tuple[Path, Path], untrained: Detector
) -> None:
    test = load_split(*image_sets, list(tiny_params.gans), "test")
    kind = protocol_kinds(tiny_params)["laundered"]
    judged = judge(tiny_params, untrained, test, kind, 4)
    n_groups = 1 + len(test.gans)
    assert len(judged.scores) == 4 * n_groups
    assert judged.sources.tolist() == [source for source in ("real", *test.gans) for _ in range(4)]
    rows = {name: row for row, name in enumerate(test.manifest["name"])}
    chosen = np.array([rows[name] for name in judged.names])
    assert len(set(chosen)) == len(chosen)
    predicted = predict_protocols(tiny_params, untrained, test)["laundered"]
    assert np.std(predicted.scores) > 0
    np.testing.assert_allclose(judged.scores, predicted.scores[chosen], rtol=1e-5)
    np.testing.assert_allclose(judged.embeddings, predicted.embeddings[chosen], rtol=1e-4, atol=1e-6)
    assert len(judge(tiny_params, untrained, test, kind, None).scores) == len(test)


@given(
    st.lists(
        st.tuples(st.sampled_from(["real", "a", "b", "c"]), st.integers(0, 10), st.booleans()), max_size=40
    ),
    st.booleans(),
    st.integers(1, 8),
    st.sampled_from([None, 1, 2]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_extreme_against_a_plain_sort(
    make_judged: MakeJudged,
    images: list[tuple[str, int, bool]],
    highest: bool,
    count: int,
    each: int | None,
) -> None:
    judged = make_judged([source for source, _, _ in images], [score / 10 for _, score, _ in images])
    candidates = np.array([wanted for _, _, wanted in images], dtype=bool)
    found = judged.extreme(candidates, count, highest=highest, each=each).tolist()
    ordered = sorted(
        (row for row, image in enumerate(images) if image[2]),
        key=lambda row: (-images[row][1] if highest else images[row][1], row),
    )
    expected: list[int] = []
    taken = dict.fromkeys(["real", "a", "b", "c"], 0)
    for row in ordered:
        source = images[row][0]
        if each is None or taken[source] < each:
            taken[source] += 1
            expected.append(row)
    assert found == expected[:count]


@pytest.mark.parametrize(("score", "fake"), [(0.49, False), (0.5, False), (0.51, True)])
def test_the_threshold_itself_is_not_fake(make_judged: MakeJudged, score: float, fake: bool) -> None:
    judged = make_judged(["real", "a"], [score, score])
    assert judged.called_fake.tolist() == [fake, fake]
    assert judged.right.tolist() == [not fake, fake]
