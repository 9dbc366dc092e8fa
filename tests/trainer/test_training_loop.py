import pytest
import torch

from tests.trainer import tiny
from trainer import training_loop
from trainer.training_loop import TrainingDiverged, step


def _moved(before, after, name):
    keys = [key for key in before if key.startswith(f"{name}.") and not key[-1].isdigit()]
    return any(not torch.equal(before[key], after[key]) for key in keys if key in after)


def test_warm_start_learns_to_reconstruct_without_a_judge():
    training = tiny.training(warm_start_kimg=1, generator_lr=0.01, encoder_lr=0.01)
    judge = {k: v.clone() for k, v in training.networks.discriminator.state_dict().items()}
    errors = [step(training)["reconstruction"] for _ in range(80)]
    assert sum(errors[-10:]) < 0.7 * sum(errors[:10])
    after = training.networks.discriminator.state_dict()
    assert all(torch.equal(judge[key], after[key]) for key in judge)


def test_warm_start_ends_after_its_pictures_and_judging_begins():
    training = tiny.training(warm_start_kimg=0.008)
    phases = ["d_reals" in step(training) for _ in range(4)]
    assert phases == [False, False, True, True]
    assert training.counters.adversarial_step == 2


def test_judge_is_alone_for_its_first_steps():
    training = tiny.training(discriminator_alone_steps=2)
    assert ["g_fakes" in step(training) for _ in range(4)] == [False, False, True, True]


def test_alone_the_judge_moves_but_no_parameter_of_the_generator():
    training = tiny.training(discriminator_alone_steps=9)
    before = tiny.tensors(training)
    step(training)
    after = tiny.tensors(training)
    assert _moved(before, after, "discriminator")
    parameters = [f"generator.{k}" for k, _ in training.networks.generator.named_parameters()]
    assert all(torch.equal(before[key], after[key]) for key in parameters)


def test_generator_comes_up_to_its_rate_slowly_after_the_warm_start():
    training = tiny.training(discriminator_alone_steps=1, generator_ramp_steps=4)
    group, rates = training.optimisers["generator"].param_groups[0], []
    for _ in range(6):
        step(training)
        rates.append(group["lr"] / 0.0025)
    assert rates[1:] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])
    assert group["betas"] == (0.0, 0.99)


def test_penalty_on_slopes_is_paid_every_so_many_steps():
    training = tiny.training(r1_every=3)
    assert ["r1" in step(training) for _ in range(6)] == [True, False, False] * 2


def test_lazy_penalty_corrects_rate_and_memory_of_the_judge():
    group = tiny.training(r1_every=16).optimisers["discriminator"].param_groups[0]
    # Karras 2020, appendix B, at the recipe's numbers.
    assert group["lr"] == pytest.approx(0.00188235, rel=1e-5)
    assert group["betas"][1] == pytest.approx(0.990585, rel=1e-5)
    without = tiny.training(gamma=0).optimisers["discriminator"].param_groups[0]
    assert (without["lr"], without["betas"]) == (0.002, (0.0, 0.99))


def test_running_statistics_move_once_a_step_however_fakes_are_made():
    for share in (True, False):
        training = tiny.training(share_fakes=share, discriminator_alone_steps=0)
        calls = []
        generator = training.networks.generator
        generator.mapping.register_forward_pre_hook(
            lambda _module, _args, kwargs, calls=calls: calls.append(kwargs["update_emas"]),
            with_kwargs=True,
        )
        step(training)
        assert calls.count(True) == 1, share
        assert len(calls) == (2 if share else 3), share  # the last one reconstructs


def test_micro_batches_add_up_to_the_gradient_of_the_batch(monkeypatch):
    found = {}
    for micro in (8, 4):
        training = tiny.training(batch=8, micro_batch=micro, warm_start_kimg=1)
        monkeypatch.setattr(training_loop, "_apply", lambda *_: None)
        # The magnitudes would differ: two small batches move them twice.
        for layer in training.networks.generator.synthesis.children():
            layer.magnitude_ema_beta = 1.0
        training_loop.warm_step(training)
        weight = training.networks.encoder.head.weight
        found[micro] = weight.grad.clone()
    assert torch.allclose(found[8], found[4], rtol=1e-4, atol=1e-6)


def test_average_generator_follows_the_live_one():
    training = tiny.training(discriminator_alone_steps=0)
    for _ in range(3):
        step(training)
    live, slow = training.networks.generator, training.networks.average
    assert torch.equal(live.mapping.w_avg, slow.mapping.w_avg)
    assert not any(parameter.requires_grad for parameter in slow.parameters())


def test_a_loss_that_is_no_number_stops_the_training_by_name():
    training = tiny.training(warm_start_kimg=1)
    training.pictures.images[:] = float("nan")
    with pytest.raises(TrainingDiverged, match=r"step 0: pull, reconstruction .*resume from an"):
        step(training)


def test_an_infinite_gradient_stops_before_any_parameter_moves():
    training = tiny.training(warm_start_kimg=1)
    weight = training.networks.encoder.head.weight
    weight.register_hook(lambda grad: grad * float("inf"))
    before = training.networks.generator.mapping.fc0.weight.clone()
    with pytest.raises(TrainingDiverged, match=r"gradient of encoder\.head\.weight is not finite"):
        step(training)
    assert torch.equal(before, training.networks.generator.mapping.fc0.weight)


def test_features_join_the_reconstruction_when_they_weigh_something():
    training = tiny.training(warm_start_kimg=1, feature_weight=1.0)
    assert "features" not in step(training)  # none were given
    training.features = lambda pictures: [pictures]
    assert step(training)["features"] > 0


def test_without_reconstruction_the_encoder_rests():
    training = tiny.training(reconstruction_weight=0, discriminator_alone_steps=0)
    before = training.networks.encoder.head.weight.clone()
    assert "reconstruction" not in step(training)
    assert torch.equal(before, training.networks.encoder.head.weight)


def test_bfloat16_is_chosen_only_where_the_device_has_it(monkeypatch):
    training = tiny.training()
    monkeypatch.setattr("trainer.training.cpu_flags", lambda: frozenset({"avx2"}))
    assert training.precision == "float32"
    monkeypatch.setattr("trainer.training.cpu_flags", lambda: frozenset({"avx2", "amx_bf16"}))
    assert training.precision == "bfloat16"


def test_reduced_precision_trains_both_phases():
    training = tiny.training(precision="bfloat16", warm_start_kimg=0.004)
    for _ in range(3):
        losses = step(training)
    assert {"g_fakes", "d_reals", "reconstruction"} <= set(losses)
    assert all(p.dtype == torch.float32 for p in training.networks.generator.parameters())
