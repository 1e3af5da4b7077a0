from __future__ import annotations

import pytest
import torch

from pcmamba.data.datasets import DATASETS
from pcmamba.data.loader import ResidentLoader
from pcmamba.models import Preprocessing
from pcmamba.train.datamodule import (
    EpochRest,
    TrainingData,
    evaluation_loader,
    make_dataset,
    make_transforms,
)
from pcmamba.train.recipe import DataConfig


@pytest.fixture(scope="module")
def cloud_set():
    return DATASETS["shapes"](train_size=40, num_points=32).load("train")


def test_take_keeps_points_names_and_labels_together(cloud_set):
    taken = cloud_set.take(torch.tensor([7, 3]))
    assert taken.ids == (cloud_set.ids[7], cloud_set.ids[3])
    assert torch.equal(taken.points[1], cloud_set.points[3])
    assert taken.labels.tolist() == [cloud_set.labels[7], cloud_set.labels[3]]
    assert torch.equal(taken.part_labels[0], cloud_set.part_labels[7])


def test_rest_of_an_epoch_is_its_end(cloud_set):
    loader = ResidentLoader(cloud_set, 8, shuffle=True, seed=3)
    loader.set_epoch(2)
    whole = [batch.index.tolist() for batch in loader]
    rest = EpochRest(loader, epoch=2, first=3)
    assert len(rest) == 2
    assert [batch.index.tolist() for batch in rest] == whole[3:]
    assert [batch.index.tolist() for batch in EpochRest(loader, 2, 0)] == whole


def test_evaluation_sees_the_first_points_normalised(cloud_set):
    preprocessing = Preprocessing(num_points=16)
    batches = list(evaluation_loader(cloud_set, preprocessing, 16, "cpu"))
    assert [len(batch) for batch in batches] == [16, 16, 8]
    wanted = preprocessing.normalize(cloud_set.points[16:32, :16])
    torch.testing.assert_close(batches[1].points, wanted, rtol=0, atol=0)
    assert torch.equal(batches[1].labels, cloud_set.labels[16:32])


def test_validation_clouds_are_not_trained_on(cloud_set):
    data = TrainingData(cloud_set, DataConfig(val_fraction=0.3, batch_size=4), Preprocessing(), 0)
    assert not set(data.train_set.ids) & set(data.val_set.ids)
    assert len(data.train_set.ids) + len(data.val_set.ids) == 40


def test_too_large_a_batch_is_named(cloud_set):
    data = TrainingData(cloud_set, DataConfig(val_fraction=0, batch_size=21), Preprocessing(), 0)
    assert data.steps_per_epoch(1) == 1
    with pytest.raises(ValueError, match="at most the 40 training clouds over 2 processes, got 21"):
        data.steps_per_epoch(2)


def test_unknown_names_in_the_data_section_are_refused():
    with pytest.raises(ValueError, match="data set must be one of"):
        make_dataset(DataConfig(name="shaps"))
    with pytest.raises(ValueError, match=r"option of data set shapes.*Did you mean 'train_size'"):
        make_dataset(DataConfig(options={"train_sise": 3}))
    with pytest.raises(ValueError, match="Did you mean 'scale'"):
        make_transforms([{"scal": {}}])
    with pytest.raises(ValueError, match=r"option of transform scale.*Did you mean 'low'"):
        make_transforms([{"scale": {"lo": 1}}])
    with pytest.raises(ValueError, match=r"must be \{name: \{options\}\}"):
        make_transforms([{"scale": {}, "shift": {}}])
