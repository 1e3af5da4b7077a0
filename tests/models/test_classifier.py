"""Saving, loading and what is said when files do not fit."""

from __future__ import annotations

import json

import pytest
import torch

from pcmamba.models import Classifier, ClipClassifier, PointClassifier, Preprocessing, create_model


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = create_model("pcm_nano", num_classes=3, neighbours=4).eval()
    model.class_names = ("cup", "bed", "door")
    model.preprocessing = Preprocessing(num_points=512, scale="none")
    model.save_pretrained(tmp_path / "model")
    return model, tmp_path / "model"


def test_a_saved_model_comes_back_whole(saved) -> None:
    model, folder = saved
    back = PointClassifier.from_pretrained(folder)
    assert type(back) is type(model)
    assert (back.name, back.config) == (model.name, model.config)
    assert back.class_names == ("cup", "bed", "door")
    assert back.preprocessing == Preprocessing(num_points=512, scale="none")
    assert not back.training
    cloud = torch.randn(1, 128, 3)
    assert torch.equal(back(cloud), model(cloud))


def test_a_model_saved_before_there_were_kinds_of_preprocessing_loads(saved) -> None:
    model, folder = saved
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("preprocessing_kind") == "cloud"
    (folder / "config.json").write_text(json.dumps(config))
    assert Classifier.from_pretrained(folder).preprocessing == model.preprocessing


def test_another_kind_of_preprocessing_is_refused(saved) -> None:
    config = json.loads((saved[1] / "config.json").read_text())
    (saved[1] / "config.json").write_text(json.dumps(config | {"preprocessing_kind": "clip"}))
    with pytest.raises(ValueError, match="preprocessing_kind of pcm_nano must be 'cloud'"):
        Classifier.from_pretrained(saved[1])


def test_a_class_that_was_asked_for_is_held(saved) -> None:
    with pytest.raises(ValueError, match="must hold a ClipClassifier, got the model pcm_nano"):
        ClipClassifier.from_pretrained(saved[1])


def test_different_weights_are_listed_tensor_by_tensor(saved) -> None:
    _, folder = saved
    config = json.loads((folder / "config.json").read_text())
    config["config"]["num_classes"] = 4
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"head\.4\.weight must be \(4, 256\), got \(3, 256\)"):
        PointClassifier.from_pretrained(folder)


def test_damaged_files_are_named(saved) -> None:
    _, folder = saved
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors must be a whole safetensors file"):
        PointClassifier.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(FileNotFoundError, match=r"model\.safetensors must exist"):
        PointClassifier.from_pretrained(folder)


def test_a_later_format_asks_for_an_update(saved) -> None:
    _, folder = saved
    config = json.loads((folder / "config.json").read_text()) | {"format_version": 99}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="update pcmamba"):
        PointClassifier.from_pretrained(folder)


def test_a_foreign_configuration_is_refused(saved) -> None:
    _, folder = saved
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="must be written by save_pretrained"):
        PointClassifier.from_pretrained(folder)


def test_unknown_options_are_refused(saved) -> None:
    with pytest.raises(ValueError, match="option of from_pretrained"):
        PointClassifier.from_pretrained(saved[1], forcedownload=True)


def test_preprocessing_centres_and_scales_each_cloud() -> None:
    batch = torch.randn(3, 50, 3) * torch.tensor([1.0, 5.0, 0.1])[:, None, None] + 7
    ready = Preprocessing().normalize(batch)
    assert ready.mean(1).abs().max() < 1e-5
    torch.testing.assert_close(ready.norm(dim=-1).amax(1), torch.ones(3))
    torch.testing.assert_close(Preprocessing().normalize(batch[1]), ready[1])


def test_up_axes_become_z_by_rotation_not_by_mirror() -> None:
    axes = torch.eye(3)
    for up_axis, unit in zip("xyz", axes, strict=True):
        assert torch.equal(Preprocessing().to_frame(unit, up_axis), axes[2])
        assert torch.det(Preprocessing().to_frame(axes, up_axis)) == 1
    with pytest.raises(ValueError, match="up_axis must be x, y or z, got 'w'"):
        Preprocessing().to_frame(axes, "w")


def test_sampling_is_seeded_keeps_order_and_never_pads() -> None:
    points = torch.arange(300.0).view(100, 3)
    spec = Preprocessing(num_points=20)
    chosen = spec.sample(points, seed=4)
    assert torch.equal(chosen, spec.sample(points, seed=4))
    assert not torch.equal(chosen, spec.sample(points, seed=5))
    assert (chosen[:, 0].diff() > 0).all()
    assert torch.equal(spec.sample(points[:10], seed=4), points[:10])


def test_wrong_preprocessing_is_explained() -> None:
    with pytest.raises(ValueError, match="num_points must be at least 1, got 0"):
        Preprocessing(num_points=0)
    with pytest.raises(ValueError, match="scale must be"):
        Preprocessing(scale="unit_cube")
