#!/usr/bin/env python3
"""Writes small modules as PyTorch exports them to ONNX, in several opsets, with open dimensions: python3 export_modules.py FOLDER

FOLDER/index.json lists what was written: a name and the shape of x. What the exporter has no form for in an opset is left out.
Needs torch (Debian: python3-torch) and nothing else.
"""
import json
import os
import sys
import warnings

import torch
import torch.nn.functional as F
from torch import nn

OPSETS = (9, 11, 13, 16, 17)
IMAGE = (2, 3, 16, 18)


class Apply(nn.Module):
    """A function of modules and x."""

    def __init__(self, function, *modules):
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, x):
        return self.function(self.parts, x)


def channel_shuffle(m, x):
    y = m[0](x)
    n, _, h, w = y.shape
    return y.view(n, 2, 4, h, w).transpose(1, 2).reshape(n, 8, h, w)


def squeeze_and_excitation(m, x):
    y = m[0](x)
    scale = torch.sigmoid(m[2](F.relu(m[1](y.mean((2, 3))))))
    return y * scale.unsqueeze(-1).unsqueeze(-1)


def spatial_attention(m, x):
    y = m[0](x)
    return y * torch.sigmoid(m[1](torch.cat([y.mean(1, keepdim=True), y.max(1, keepdim=True)[0]], 1)))


def standardised_weights(m, x):
    weight = m[0].weight
    mean, deviation = weight.mean((1, 2, 3), keepdim=True), weight.std((1, 2, 3), keepdim=True)
    return F.conv2d(x, (weight - mean) / (deviation + 1e-5), m[0].bias)


def slice_assignment(_, x):
    y = x.clone()
    y[:, 0:1] = y[:, 1:2] * 2
    return y


def coordinates(_, x):
    rows, columns = (torch.arange(size).float() for size in x.shape[2:])
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).unsqueeze(0)
    return torch.cat([x, grid.expand(x.shape[0], -1, -1, -1)], 1)


class Branches(nn.Module):
    """Scripted: an If by the height, another by the rank."""

    def __init__(self):
        super().__init__()
        self.large = nn.Conv2d(3, 4, 3)
        self.small = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        if x.shape[2] > 10:
            y = self.large(x)
        else:
            y = self.small(x)
        if y.dim() == 4:
            y = y.mean(3)
        return F.relu(y.squeeze())


def case(name, module, shape, opset=None, dyn="nhw", **options):
    """`dyn`: which dimensions are open, the batch (n), height and width (h), the length (l)."""
    return name, module, shape, (opset,) if opset else OPSETS, dyn, options


torch.manual_seed(0)
CASES = [
    case('adaptive', nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(8, 4)), IMAGE),
    case('adaptive7', nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d((7, 8)), nn.Flatten(1), nn.Linear(8 * 56, 4)), IMAGE, dyn='n'),
    case('interp_bi',
         Apply(lambda m, x: F.interpolate(m[0](x), scale_factor=2, mode='bilinear', align_corners=False), nn.Conv2d(3, 4, 3)),
         IMAGE),
    case('interp_bi_ac',
         Apply(lambda m, x: F.interpolate(m[0](x), scale_factor=2, mode='bilinear', align_corners=True), nn.Conv2d(3, 4, 3)),
         IMAGE),
    case('interp_size',
         Apply(lambda m, x: F.interpolate(m[0](x), size=x.shape[2:], mode='bilinear', align_corners=True), nn.Conv2d(3, 4, 3, stride=2)),
         IMAGE),
    case('interp_near', Apply(lambda m, x: F.interpolate(m[0](x), scale_factor=(1.5, 2.5)), nn.Conv2d(3, 4, 3)), IMAGE),
    case('interp_down', Apply(lambda m, x: F.interpolate(x, scale_factor=0.6, mode='bilinear', recompute_scale_factor=True)), IMAGE),
    case('interp_bicubic', Apply(lambda m, x: F.interpolate(x, scale_factor=1.7, mode='bicubic')), IMAGE),
    case('gn', nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.ReLU(), nn.Conv2d(8, 4, 3)), IMAGE),
    case('in', nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, affine=True), nn.LeakyReLU(0.1), nn.InstanceNorm2d(8)), IMAGE),
    case('ln', Apply(lambda m, x: m[1](m[0](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.Conv2d(3, 8, 3), nn.LayerNorm(8)), IMAGE),
    case('acts',
         nn.Sequential(nn.Conv2d(3, 8, 3), nn.SiLU(), nn.Mish(), nn.Hardswish(), nn.Hardsigmoid(), nn.GELU(),
                       nn.ELU(), nn.CELU(), nn.SELU(), nn.Softplus(), nn.PReLU(8), nn.ReLU6(), nn.Softsign(), nn.Hardtanh(),
                       nn.LogSigmoid(), nn.Softshrink()),
         IMAGE),
    case('pixshuf', nn.Sequential(nn.Conv2d(3, 12, 3), nn.PixelShuffle(2), nn.PixelUnshuffle(2)), IMAGE, dyn='n'),
    case('pads',
         nn.Sequential(nn.ReflectionPad2d((1, 2, 3, 0)), nn.Conv2d(3, 4, 3), 
                       nn.ReplicationPad2d(2), nn.ZeroPad2d((1, 0, 0, 1)), nn.ConstantPad2d(1, 0.5)),
         IMAGE),
    case('circular', nn.Conv2d(3, 4, 3, padding=1, padding_mode='circular'), IMAGE, dyn='n'),
    case('reflectconv', nn.Conv2d(3, 4, 3, padding=1, padding_mode='reflect'), IMAGE),
    case('convt', nn.Sequential(nn.ConvTranspose2d(3, 6, 4, 2, 1), nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1, groups=2)), IMAGE),
    case('dilgroup',
         nn.Sequential(nn.Conv2d(3, 9, 3, dilation=2, groups=3, padding=2), nn.Conv2d(9, 9, (1, 5), groups=9, padding=(0, 2))),
         IMAGE),
    case('same', nn.Conv2d(3, 4, 4, padding='same'), IMAGE),
    case('pool',
         nn.Sequential(nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.MaxPool2d(2)),
         (1, 3, 33, 35)),
    case('avgceil', nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 3, 33, 34)),
    case('chunk', Apply(lambda m, x: torch.cat([a * torch.sigmoid(b) for a, b in [m[0](x).chunk(2, 1)]], 1), nn.Conv2d(3, 8, 3)), IMAGE),
    case('split3', Apply(lambda m, x: m[0](x).split([1, 3, 4], 1)[1], nn.Conv2d(3, 8, 3)), IMAGE),
    case('shuffle',
         Apply(channel_shuffle, nn.Conv2d(3, 8, 3)),
         IMAGE),
    case('se',
         Apply(squeeze_and_excitation, nn.Conv2d(3, 8, 3), nn.Linear(8, 2), nn.Linear(2, 8)),
         IMAGE),
    case('cbam',
         Apply(spatial_attention, nn.Conv2d(3, 8, 3), nn.Conv2d(2, 1, 7, padding=3)),
         IMAGE),
    case('focus',
         Apply(lambda m, x: m[0](torch.cat([x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]], 1)), nn.Conv2d(12, 4, 3)),
         IMAGE),
    case('roll', Apply(lambda m, x: torch.roll(m[0](x), (2, -3), (2, 3)), nn.Conv2d(3, 4, 3)), IMAGE),
    case('window',
         Apply(lambda m, x: (lambda y: y.view(y.shape[0], 4, 2, 8, 2, 8).permute(0, 2, 4, 3, 5, 1).reshape(-1, 64, 4))(m[0](x)), nn.Conv2d(3, 4, 1)),
         (2, 3, 16, 16), dyn='n'),
    case('unfold', Apply(lambda m, x: F.unfold(x, 3, padding=1, stride=2)), (2, 3, 8, 9), dyn='n'),
    case('fold_like', Apply(lambda m, x: x.flatten(2).transpose(1, 2).cumsum(1)), IMAGE),
    case('einsum', Apply(lambda m, x: torch.einsum('nchw,cd->ndhw', x, m[0].weight.t()), nn.Linear(3, 5)), IMAGE),
    case('bmm',
         Apply(lambda m, x: (lambda q: torch.softmax(q @ q.transpose(1, 2) / 3, -1) @ q)(x.flatten(2).transpose(1, 2))),
         (2, 3, 5, 6)),
    case('mha',
         Apply(lambda m, x: (lambda t: m[0](t, t, t)[0])(x.flatten(2).permute(2, 0, 1)), nn.MultiheadAttention(8, 2)),
         (2, 8, 4, 5), dyn='n'),
    case('tel',
         Apply(lambda m, x: m[0](x.flatten(2).permute(0, 2, 1)), nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)),
         (2, 8, 4, 5), dyn='n', opset=13),
    case('lstm',
         Apply(lambda m, x: m[1](m[0](x.mean(2).permute(0, 2, 1))[0]), nn.LSTM(8, 6, 2, bidirectional=True, batch_first=True), nn.Linear(12, 5)),
         (2, 8, 4, 9)),
    case('gru', Apply(lambda m, x: m[0](x.mean(2).permute(2, 0, 1))[0], nn.GRU(8, 6, bidirectional=True)), (2, 8, 4, 9)),
    case('rnn', Apply(lambda m, x: m[0](x.mean(2).permute(2, 0, 1))[0], nn.RNN(8, 6)), (2, 8, 4, 9), dyn='n'),
    case('conv1d',
         nn.Sequential(nn.Conv1d(4, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.ConvTranspose1d(8, 4, 2, 2)),
         (2, 4, 20), dyn='nl'),
    case('conv3d',
         nn.Sequential(nn.Conv3d(2, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d(2),
                       nn.Conv3d(6, 4, (1, 3, 3)), nn.AdaptiveAvgPool3d(1)),
         (1, 2, 6, 8, 8), dyn='n'),
    case('grid',
         Apply(lambda m, x: F.grid_sample(x, torch.tanh(m[0](x)).permute(0, 2, 3, 1), align_corners=True), nn.Conv2d(3, 2, 3)),
         IMAGE, opset=16),
    case('weightnorm', nn.Sequential(nn.utils.weight_norm(nn.Conv2d(3, 8, 3)), nn.utils.spectral_norm(nn.Conv2d(8, 4, 3))), IMAGE),
    case('wstd',
         Apply(standardised_weights, nn.Conv2d(3, 8, 3)),
         IMAGE),
    case('where', Apply(lambda m, x: torch.where(m[0](x) > 0, m[0](x), torch.zeros(1)), nn.Conv2d(3, 4, 3)), IMAGE),
    case('masked', Apply(lambda m, x: x.masked_fill(x < 0, -1.0)), IMAGE),
    case('clampT', Apply(lambda m, x: x.clamp(min=-0.5).clamp(max=0.7).pow(2).add(1).sqrt().log()), IMAGE),
    case('norm', Apply(lambda m, x: F.normalize(m[0](x).flatten(1), dim=1), nn.Conv2d(3, 4, 3)), IMAGE),
    case('lrn', nn.Sequential(nn.Conv2d(3, 8, 3), nn.LocalResponseNorm(3)), IMAGE),
    case('topk', Apply(lambda m, x: m[0](x).flatten(1).topk(4)[0], nn.Conv2d(3, 4, 3)), IMAGE, dyn='n'),
    case('argmax', Apply(lambda m, x: m[0](x).argmax(1).float(), nn.Conv2d(3, 4, 3)), IMAGE),
    case('onehot', Apply(lambda m, x: F.one_hot(x.argmax(1), 3).float()), IMAGE),
    case('sqz', Apply(lambda m, x: m[0](x).mean(3, keepdim=True).squeeze(3).squeeze(), nn.Conv2d(3, 4, 3)), (2, 3, 16, 18)),
    case('index', Apply(lambda m, x: x[:, [2, 0]][:, :, 1:-1, -5:]), IMAGE),
    case('slice_assign',
         Apply(slice_assignment),
         IMAGE),
    case('arange', Apply(lambda m, x: x + torch.arange(x.shape[3]).float() / 10), IMAGE),
    case('meshgrid',
         Apply(coordinates),
         IMAGE),
    case('stack', Apply(lambda m, x: torch.stack([x, x * 2], 2).flatten(1, 2)), IMAGE),
    case('var', Apply(lambda m, x: (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, unbiased=False) + 1e-05).sqrt()), IMAGE),
    case('std', Apply(lambda m, x: x.std((2, 3))), IMAGE),
    case('repeat', Apply(lambda m, x: x.repeat(1, 2, 1, 2)), IMAGE),
    case('rep_int', Apply(lambda m, x: x.repeat_interleave(2, 1)), IMAGE, dyn='n'),
    case('fliplr', Apply(lambda m, x: x.flip(3)), IMAGE),
    case('tril', Apply(lambda m, x: torch.tril(x)), IMAGE, opset=16),
    case('logsumexp', Apply(lambda m, x: torch.logsumexp(x, 1)), IMAGE),
    case('glu', nn.GLU(1), (2, 4, 8, 8)),
    case('upsample_mod',
         nn.Sequential(nn.Conv2d(3, 4, 3), nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3), nn.Upsample(scale_factor=2, mode='bilinear')),
         IMAGE),
    case('maxunpool_idx', Apply(lambda m, x: F.max_pool2d(x, 2, return_indices=True)[0]), IMAGE),
    case('functions',
         nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Sequential(nn.Conv2d(8, 4, 3), nn.SiLU())),
         IMAGE, opset=15, export_modules_as_functions={nn.SiLU, nn.GELU, nn.Sequential}),
    case('functions_conv',
         nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU(), nn.Conv2d(8, 4, 3)),
         IMAGE, opset=15, export_modules_as_functions={nn.Conv2d}),
    case("branches", torch.jit.script(Branches().eval()), IMAGE),
]


def export(folder, name, module, shape, opset, dyn, options):
    axes = {0: "n"} if "n" in dyn else {}
    if "h" in dyn and len(shape) == 4:
        axes.update({2: "h", 3: "w"})
    if "l" in dyn:
        axes.update({2: "l"})
    path = os.path.join(folder, f"{name}_{opset}.onnx")
    torch.onnx.export(module.eval(), torch.randn(*shape), path, opset_version=opset, input_names=["x"], output_names=["y"],
                      dynamic_axes={"x": axes} if axes else None, **options)
    return {"name": f"{name}_{opset}", "dims": list(shape)}


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    warnings.filterwarnings("ignore")
    written = []
    for name, module, shape, opsets, dyn, options in CASES:
        for opset in opsets:
            try:
                written.append(export(folder, name, module, shape, opset, dyn, options))
            except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
                print(f"{name}, opset {opset}: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    with open(os.path.join(folder, "index.json"), "w") as file:
        json.dump(written, file)


if __name__ == "__main__":
    main()
