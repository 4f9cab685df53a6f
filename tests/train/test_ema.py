import torch
from torch import nn

from crystalcli.train.optimizers import AveragedModel


def test_average_of_weights_and_their_statistics_is_the_sum_written_out() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    average = AveragedModel(model, decay=0.9)
    expected = model[0].weight.detach().clone().double()
    mean = model[1].running_mean.clone().double()
    for step in range(30):
        with torch.no_grad():
            for p in model.parameters():
                p.add_(torch.randn_like(p))
        model(torch.randn(8, 3))
        average.update(model, step)
        keep = min(0.9, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * model[0].weight.detach().double()
        mean = keep * mean + (1 - keep) * model[1].running_mean.double()
    torch.testing.assert_close(average.module[0].weight.double(), expected, rtol=1e-5, atol=1e-6)  # type: ignore[index]
    torch.testing.assert_close(average.module[1].running_mean.double(), mean, rtol=1e-5, atol=1e-6)  # type: ignore[index]
    assert int(average.module[1].num_batches_tracked) == 30  # type: ignore[index]
    assert not any(p.requires_grad for p in average.module.parameters())
